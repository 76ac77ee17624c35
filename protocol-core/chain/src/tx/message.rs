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
use portico_protocol::wire::pocket::tokenomics::MsgUpdateParams as MsgUpdateTokenomicsParams;
use portico_protocol::wire::portico::feature::{MsgCancelFlag, MsgSetFlag};
use prost::{Message, Name};
use prost_types::Any;

use crate::context::Context;
use crate::error::{Fault, sdk};
use crate::{application, bank, feature, gateway, governance, proof, service, supplier};

/// Declares the message types with their signer field and handler.
macro_rules! messages {
    ($($kind:ident, $signer:ident, $run:path;)*) => {
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
    MsgUpdateApplicationParam, authority, governance::update_application_param;
    MsgUpdateApplicationParams, authority, governance::update_application_params;
    MsgUpdateGatewayParam, authority, governance::update_gateway_param;
    MsgUpdateGatewayParams, authority, governance::update_gateway_params;
    MsgUpdateProofParam, authority, governance::update_proof_param;
    MsgUpdateProofParams, authority, governance::update_proof_params;
    MsgUpdateServiceParam, authority, governance::update_service_param;
    MsgUpdateServiceParams, authority, governance::update_service_params;
    MsgUpdateSessionParam, authority, governance::update_session_param;
    MsgUpdateSessionParams, authority, governance::update_session_params;
    MsgUpdateSharedParam, authority, governance::update_shared_param;
    MsgUpdateSharedParams, authority, governance::update_shared_params;
    MsgUpdateSupplierParam, authority, governance::update_supplier_param;
    MsgUpdateSupplierParams, authority, governance::update_supplier_params;
    MsgUpdateTokenomicsParams, authority, governance::update_tokenomics_params;
    MsgSetFlag, authority, feature::msg_set;
    MsgCancelFlag, authority, feature::msg_cancel;
    MsgTransferApplication, source_address, application::msg_transfer;
    MsgTransferService, owner_address, service::msg_transfer;
    MsgSend, from_address, bank::msg_send;
    MsgStakeApplication, address, application::msg_stake;
    MsgUnstakeApplication, address, application::msg_unstake;
    MsgDelegateToGateway, app_address, application::msg_delegate;
    MsgUndelegateFromGateway, app_address, application::msg_undelegate;
    MsgStakeGateway, address, gateway::msg_stake;
    MsgUnstakeGateway, address, gateway::msg_unstake;
    MsgUpdateGatewayMetadata, address, gateway::msg_update_metadata;
    MsgStakeSupplier, signer, supplier::msg_stake;
    MsgUnstakeSupplier, signer, supplier::msg_unstake;
    MsgAddService, owner_address, service::msg_add;
    MsgCreateClaim, supplier_operator_address, proof::msg_create_claim;
    MsgSubmitProof, supplier_operator_address, proof::msg_submit_proof;
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
