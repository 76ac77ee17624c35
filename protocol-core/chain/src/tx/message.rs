//! The messages that a transaction can carry.

use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::pocket::application::{
    MsgDelegateToGateway, MsgStakeApplication, MsgTransferApplication, MsgUndelegateFromGateway,
    MsgUnstakeApplication, MsgUpdateParam as MsgUpdateApplicationParam,
    MsgUpdateParams as MsgUpdateApplicationParams,
};
use portico_protocol::wire::pocket::gateway::{
    MsgStakeGateway, MsgUnstakeGateway, MsgUpdateGatewayMetadata, MsgUpdateParam as MsgUpdateGatewayParam,
    MsgUpdateParams as MsgUpdateGatewayParams,
};
use portico_protocol::wire::pocket::proof::{
    MsgCreateClaim, MsgSubmitProof, MsgUpdateParam as MsgUpdateProofParam,
    MsgUpdateParams as MsgUpdateProofParams,
};
use portico_protocol::wire::pocket::service::{
    MsgAddService, MsgTransferService, MsgUpdateParam as MsgUpdateServiceParam,
    MsgUpdateParams as MsgUpdateServiceParams,
};
use portico_protocol::wire::pocket::session::{
    MsgUpdateParam as MsgUpdateSessionParam, MsgUpdateParams as MsgUpdateSessionParams,
};
use portico_protocol::wire::pocket::shared::{
    MsgUpdateParam as MsgUpdateSharedParam, MsgUpdateParams as MsgUpdateSharedParams,
};
use portico_protocol::wire::pocket::supplier::{
    MsgStakeSupplier, MsgUnstakeSupplier, MsgUpdateParam as MsgUpdateSupplierParam,
    MsgUpdateParams as MsgUpdateSupplierParams,
};
use portico_protocol::wire::pocket::tokenomics::{
    MsgUpdateParam as MsgUpdateTokenomicsParam, MsgUpdateParams as MsgUpdateTokenomicsParams,
};
use portico_protocol::wire::portico::feature::{MsgCancelFlag, MsgSetFlag};
use prost::{Message, Name};
use prost_types::Any;

use crate::context::Context;
use crate::error::{Fault, sdk};
use crate::{application, bank, feature, gateway, governance, proof, service, supplier};

/// Declares the message types with their signer field, stateless checks and handler.
macro_rules! messages {
    ($($kind:ident, $signer:ident, $check:expr, $run:path;)*) => {
        /// A decoded message.
        #[allow(clippy::enum_variant_names)] // as on the wire
        pub(crate) enum Msg {
            $(#[doc = concat!("`", stringify!($kind), "`")] $kind(Box<$kind>),)*
        }

        impl Msg {
            /// Reads a message; errs for a type that no module handles.
            pub(crate) fn decode(any: &Any) -> Result<Self, Fault> {
                $(if any.type_url == $kind::type_url() {
                    let message = $kind::decode(any.value.as_slice()).map_err(|error| sdk::tx_decode(error.to_string()))?;
                    return Ok(Self::$kind(Box::new(message)));
                })*
                Err(sdk::unknown_request(format!("unrecognized message type {:?}", any.type_url)))
            }

            /// Address of who must sign it.
            #[allow(clippy::unnecessary_wraps)] // a message may have to be looked into
            pub(crate) fn signer(&self) -> Result<String, Fault> {
                Ok(match self {
                    $(Self::$kind(message) => message.$signer.clone(),)*
                })
            }

            /// `/pocket.proof.MsgCreateClaim`
            pub(crate) fn type_url(&self) -> String {
                match self {
                    $(Self::$kind(_) => $kind::type_url(),)*
                }
            }

            /// Checks it by itself: a transaction that holds a message which can never succeed is not taken at all, and pays no fee.
            pub(crate) fn check(&self) -> Result<(), Fault> {
                match self {
                    $(Self::$kind(message) => ($check)(message),)*
                }
            }

            /// Applies it.
            pub(crate) fn run(&self, ctx: &mut Context<'_>) -> Result<(), Fault> {
                match self {
                    $(Self::$kind(message) => $run(ctx, message),)*
                }
            }
        }
    };
}

messages! {
    MsgUpdateApplicationParam, authority, |message: &MsgUpdateApplicationParam| governance::check_authority(&message.authority), governance::update_application_param;
    MsgUpdateApplicationParams, authority, |message: &MsgUpdateApplicationParams| governance::check_authority(&message.authority), governance::update_application_params;
    MsgUpdateGatewayParam, authority, |message: &MsgUpdateGatewayParam| governance::check_authority(&message.authority), governance::update_gateway_param;
    MsgUpdateGatewayParams, authority, |message: &MsgUpdateGatewayParams| governance::check_authority(&message.authority), governance::update_gateway_params;
    MsgUpdateProofParam, authority, |message: &MsgUpdateProofParam| governance::check_authority(&message.authority), governance::update_proof_param;
    MsgUpdateProofParams, authority, |message: &MsgUpdateProofParams| governance::check_authority(&message.authority), governance::update_proof_params;
    MsgUpdateServiceParam, authority, |message: &MsgUpdateServiceParam| governance::check_authority(&message.authority), governance::update_service_param;
    MsgUpdateServiceParams, authority, |message: &MsgUpdateServiceParams| governance::check_authority(&message.authority), governance::update_service_params;
    MsgUpdateSessionParam, authority, |message: &MsgUpdateSessionParam| governance::check_authority(&message.authority), governance::update_session_param;
    MsgUpdateSessionParams, authority, |message: &MsgUpdateSessionParams| governance::check_authority(&message.authority), governance::update_session_params;
    MsgUpdateSharedParam, authority, |message: &MsgUpdateSharedParam| governance::check_authority(&message.authority), governance::update_shared_param;
    MsgUpdateSharedParams, authority, |message: &MsgUpdateSharedParams| governance::check_authority(&message.authority), governance::update_shared_params;
    MsgUpdateSupplierParam, authority, |message: &MsgUpdateSupplierParam| governance::check_authority(&message.authority), governance::update_supplier_param;
    MsgUpdateSupplierParams, authority, |message: &MsgUpdateSupplierParams| governance::check_authority(&message.authority), governance::update_supplier_params;
    MsgUpdateTokenomicsParam, authority, |message: &MsgUpdateTokenomicsParam| governance::check_authority(&message.authority), governance::update_tokenomics_param;
    MsgUpdateTokenomicsParams, authority, |message: &MsgUpdateTokenomicsParams| governance::check_authority(&message.authority), governance::update_tokenomics_params;
    MsgSetFlag, authority, feature::check_set, feature::msg_set;
    MsgCancelFlag, authority, feature::check_cancel, feature::msg_cancel;
    MsgTransferApplication, source_address, application::check_transfer, application::msg_transfer;
    MsgTransferService, owner_address, service::check_transfer, service::msg_transfer;
    MsgSend, from_address, bank::check_send, bank::msg_send;
    MsgStakeApplication, address, application::check_stake, application::msg_stake;
    MsgUnstakeApplication, address, application::check_unstake, application::msg_unstake;
    MsgDelegateToGateway, app_address, application::check_delegate, application::msg_delegate;
    MsgUndelegateFromGateway, app_address, application::check_undelegate, application::msg_undelegate;
    MsgStakeGateway, address, gateway::check_stake, gateway::msg_stake;
    MsgUnstakeGateway, address, gateway::check_unstake, gateway::msg_unstake;
    MsgUpdateGatewayMetadata, address, gateway::check_metadata, gateway::msg_update_metadata;
    MsgStakeSupplier, signer, supplier::check_stake, supplier::msg_stake;
    MsgUnstakeSupplier, signer, supplier::check_unstake, supplier::msg_unstake;
    MsgAddService, owner_address, service::check_add, service::msg_add;
    MsgCreateClaim, supplier_operator_address, proof::check_create_claim, proof::msg_create_claim;
    MsgSubmitProof, supplier_operator_address, proof::check_submit_proof, proof::msg_submit_proof;
}

impl Msg {
    /// The module that handles it, e.g. `proof`.
    pub(crate) fn module(&self) -> String {
        self.type_url()
            .split('.')
            .rev()
            .nth(1)
            .filter(|name| *name != "v1beta1")
            .unwrap_or("bank")
            .to_owned()
    }
}
