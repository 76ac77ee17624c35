//! The messages that a transaction can carry.

use portico_protocol::Address;
use portico_protocol::tx::decode_canonical;
use portico_protocol::wire::cosmos::authz::v1beta1::{MsgExec, MsgExecResponse, MsgGrant, MsgRevoke};
use portico_protocol::wire::cosmos::bank::v1beta1::{MsgMultiSend, MsgSend};
use portico_protocol::wire::cosmos::feegrant::v1beta1::{MsgGrantAllowance, MsgRevokeAllowance};
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
use portico_protocol::wire::portico::validator::MsgSetValidators;
use prost::{Message as _, Name};
use prost_types::Any;

use crate::context::Context;
use crate::error::{Fault, sdk};
use crate::event::tag;
use crate::{
    application, authz, bank, feature, feegrant, gateway, governance, proof, service, supplier, validators,
};

/// Declares the message types with their signer field, stateless checks and handler.
macro_rules! messages {
    ($($kind:ident, $signer:expr, $check:expr, $run:expr;)*) => {
        /// A decoded message.
        #[allow(clippy::enum_variant_names)] // as on the wire
        pub(crate) enum Msg {
            $(#[doc = concat!("`", stringify!($kind), "`")] $kind(Box<$kind>),)*
        }

        impl Msg {
            /// Reads a message; errs for a type that no module handles, and for fields that are not known.
            pub(crate) fn decode(any: &Any) -> Result<Self, Fault> {
                $(if any.type_url == $kind::type_url() {
                    let message: $kind = decode_canonical(&any.value, "message")
                        .map_err(|error| sdk::tx_decode(error.to_string()))?;
                    return Ok(Self::$kind(Box::new(message)));
                })*
                Err(sdk::tx_decode(format!("unable to resolve type URL {}", any.type_url)))
            }

            /// Whether a module handles messages of this type.
            pub(crate) fn is_known(url: &str) -> bool {
                [$($kind::type_url(),)*].iter().any(|known| known == url)
            }

            /// Address of who must sign it.
            #[allow(clippy::unnecessary_wraps)] // a message may have to be looked into
            pub(crate) fn signer(&self) -> Result<String, Fault> {
                Ok(match self {
                    $(Self::$kind(message) => {
                        let signer: fn(&$kind) -> &str = $signer;
                        signer(message).to_owned()
                    })*
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

            /// Applies it; returns its encoded response.
            pub(crate) fn run(&self, ctx: &mut Context<'_>) -> Result<Vec<u8>, Fault> {
                match self {
                    $(Self::$kind(message) => ($run)(ctx, message).map(Response::encoded),)*
                }
            }
        }
    };
}

messages! {
    MsgUpdateApplicationParam, |m| &m.authority, |message: &MsgUpdateApplicationParam| governance::check_authority(&message.authority), governance::update_application_param;
    MsgUpdateApplicationParams, |m| &m.authority, |message: &MsgUpdateApplicationParams| governance::check_authority(&message.authority), governance::update_application_params;
    MsgUpdateGatewayParam, |m| &m.authority, |message: &MsgUpdateGatewayParam| governance::check_authority(&message.authority), governance::update_gateway_param;
    MsgUpdateGatewayParams, |m| &m.authority, |message: &MsgUpdateGatewayParams| governance::check_authority(&message.authority), governance::update_gateway_params;
    MsgUpdateProofParam, |m| &m.authority, |message: &MsgUpdateProofParam| governance::check_authority(&message.authority), governance::update_proof_param;
    MsgUpdateProofParams, |m| &m.authority, |message: &MsgUpdateProofParams| governance::check_authority(&message.authority), governance::update_proof_params;
    MsgUpdateServiceParam, |m| &m.authority, |message: &MsgUpdateServiceParam| governance::check_authority(&message.authority), governance::update_service_param;
    MsgUpdateServiceParams, |m| &m.authority, |message: &MsgUpdateServiceParams| governance::check_authority(&message.authority), governance::update_service_params;
    MsgUpdateSessionParam, |m| &m.authority, |message: &MsgUpdateSessionParam| governance::check_authority(&message.authority), governance::update_session_param;
    MsgUpdateSessionParams, |m| &m.authority, |message: &MsgUpdateSessionParams| governance::check_authority(&message.authority), governance::update_session_params;
    MsgUpdateSharedParam, |m| &m.authority, |message: &MsgUpdateSharedParam| governance::check_authority(&message.authority), governance::update_shared_param;
    MsgUpdateSharedParams, |m| &m.authority, |message: &MsgUpdateSharedParams| governance::check_authority(&message.authority), governance::update_shared_params;
    MsgUpdateSupplierParam, |m| &m.authority, |message: &MsgUpdateSupplierParam| governance::check_authority(&message.authority), governance::update_supplier_param;
    MsgUpdateSupplierParams, |m| &m.authority, |message: &MsgUpdateSupplierParams| governance::check_authority(&message.authority), governance::update_supplier_params;
    MsgUpdateTokenomicsParam, |m| &m.authority, |message: &MsgUpdateTokenomicsParam| governance::check_authority(&message.authority), governance::update_tokenomics_param;
    MsgUpdateTokenomicsParams, |m| &m.authority, |message: &MsgUpdateTokenomicsParams| governance::check_authority(&message.authority), governance::update_tokenomics_params;
    MsgSetFlag, |m| &m.authority, feature::check_set, feature::msg_set;
    MsgCancelFlag, |m| &m.authority, feature::check_cancel, feature::msg_cancel;
    MsgSetValidators, |m| &m.authority, validators::check_set, validators::msg_set;
    MsgTransferApplication, |m| &m.source_address, application::check_transfer, application::msg_transfer;
    MsgTransferService, |m| &m.owner_address, service::check_transfer, service::msg_transfer;
    MsgGrant, |m| &m.granter, |_: &MsgGrant| Ok(()), |ctx: &mut Context<'_>, message: &MsgGrant| authz::msg_grant(ctx, message, Msg::is_known);
    MsgRevoke, |m| &m.granter, |_: &MsgRevoke| Ok(()), authz::msg_revoke;
    MsgExec, |m| &m.grantee, |_: &MsgExec| Ok(()), exec;
    MsgGrantAllowance, |m| &m.granter, |_: &MsgGrantAllowance| Ok(()), feegrant::msg_grant;
    MsgRevokeAllowance, |m| &m.granter, |_: &MsgRevokeAllowance| Ok(()), feegrant::msg_revoke;
    MsgMultiSend, |m| m.inputs.first().map_or("", |input| input.address.as_str()), |_: &MsgMultiSend| Ok(()), bank::msg_multi_send;
    MsgSend, |m| &m.from_address, |_: &MsgSend| Ok(()), bank::msg_send;
    MsgStakeApplication, |m| &m.address, application::check_stake, application::msg_stake;
    MsgUnstakeApplication, |m| &m.address, application::check_unstake, application::msg_unstake;
    MsgDelegateToGateway, |m| &m.app_address, application::check_delegate, application::msg_delegate;
    MsgUndelegateFromGateway, |m| &m.app_address, application::check_undelegate, application::msg_undelegate;
    MsgStakeGateway, |m| &m.address, gateway::check_stake, gateway::msg_stake;
    MsgUnstakeGateway, |m| &m.address, gateway::check_unstake, gateway::msg_unstake;
    MsgUpdateGatewayMetadata, |m| &m.address, gateway::check_metadata, gateway::msg_update_metadata;
    MsgStakeSupplier, |m| &m.signer, supplier::check_stake, supplier::msg_stake;
    MsgUnstakeSupplier, |m| &m.signer, supplier::check_unstake, supplier::msg_unstake;
    MsgAddService, |m| &m.owner_address, service::check_add, service::msg_add;
    MsgCreateClaim, |m| &m.supplier_operator_address, proof::check_create_claim, proof::msg_create_claim;
    MsgSubmitProof, |m| &m.supplier_operator_address, proof::check_submit_proof, proof::msg_submit_proof;
}

/// `MsgExec`: runs messages whose signers allowed it, or are the grantee itself. One that fails takes the others along.
fn exec(ctx: &mut Context<'_>, message: &MsgExec) -> Result<Vec<u8>, Fault> {
    let grantee: Address = message
        .grantee
        .parse()
        .map_err(|_| sdk::invalid_address(format!("grantee {:?}", message.grantee)))?;
    if message.msgs.is_empty() || message.msgs.len() > authz::MAX_MESSAGES {
        return Err(sdk::invalid_request("messages cannot be empty"));
    }
    let mut results = Vec::new();
    for (index, any) in message.msgs.iter().enumerate() {
        let inner = Msg::decode(any)?;
        if matches!(inner, Msg::MsgExec(_)) {
            return Err(sdk::unauthorized(
                "a message of this kind is not run within another",
            ));
        }
        inner.check()?;
        let signer = inner.signer()?;
        let granter = signer
            .parse()
            .map_err(|_| sdk::invalid_address(format!("signer {signer:?}")))?;
        if granter != grantee {
            authz::spend(ctx, &granter, &grantee, any)?;
        }
        let first = ctx.events.len();
        results.push(inner.run(ctx)?);
        tag(&mut ctx.events[first..], "authz_msg_index", &index.to_string());
    }
    Ok(MsgExecResponse { results }.encode_to_vec())
}

/// What a handler returns.
trait Response {
    /// The encoded response.
    fn encoded(self) -> Vec<u8>;
}

impl Response for () {
    fn encoded(self) -> Vec<u8> {
        Vec::new()
    }
}

impl Response for Vec<u8> {
    fn encoded(self) -> Vec<u8> {
        self
    }
}

impl Msg {
    /// The module that handles it, e.g. `proof`.
    pub(crate) fn module(&self) -> String {
        let url = self.type_url();
        let mut inner = url.split('.').rev().skip(1);
        inner
            .find(|name| *name != "v1beta1")
            .unwrap_or_default()
            .to_owned()
    }

    /// A failure of its handler as transactions report it. The network's own handlers answer with a gRPC status, of which the SDK keeps the
    /// text alone.
    pub(crate) fn reported(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Module(error) if self.type_url().starts_with("/pocket.") => {
                Fault::Module(error.into_status(&self.type_url()))
            }
            fault => fault,
        }
    }
}
