//! Messages of running Go programs: what gateways posted, what a relay miner answered, what the chain said about them.

use prost::{Message, Name};

use super::super::*;
use crate::http_payload::{decode_http_request, decode_http_response};
use crate::types::Height;
use crate::wire::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse};
use crate::wire::cosmos::crypto::secp256k1::PubKey;
use crate::wire::cosmos::tx::v1beta1::TxRaw;
use crate::wire::pocket::application::{
    Application, QueryGetApplicationRequest, QueryGetApplicationResponse,
};
use crate::wire::pocket::session::{QueryGetSessionRequest, QueryGetSessionResponse, Session};
use crate::wire::pocket::{proof, service, session, shared, supplier, tokenomics};
use portico_vectors::{counted, read};

/// Exchanges of the gateway PATH: ring of app1 and gateway1.
const PATH: [&str; 3] = ["path-svc1-01", "path-svc1-02", "path-svc1-03"];
/// An exchange of pocket-ap: ring of app3 twice.
const POCKET_AP: &str = "pocketap-svc1-01";

/// Decodes, and holds the message to be the same bytes again.
fn decode<T: Message + Default>(name: &str) -> T {
    let bytes = read(&format!("wire/{name}.bin"));
    let message = T::decode(bytes.as_slice()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(message.encode_to_vec(), bytes, "{name}");
    message
}

fn account(actor: &str) -> PublicKey {
    let response: QueryAccountResponse = decode(&format!("query.auth.Account.{actor}.response"));
    let any = response.account.unwrap();
    assert_eq!(any.type_url, BaseAccount::type_url());
    let account = BaseAccount::decode(any.value.as_slice()).unwrap();
    let any = account.pub_key.unwrap();
    assert_eq!(any.type_url, PubKey::type_url());
    let key = PublicKey::from_slice(&PubKey::decode(any.value.as_slice()).unwrap().key).unwrap();
    assert_eq!(key.address().to_string(), account.address);
    key
}

fn app1() -> Application {
    decode::<QueryGetApplicationResponse>("query.application.Application.response")
        .application
        .unwrap()
}

fn session_of_app1() -> Session {
    decode::<QueryGetSessionResponse>("query.session.GetSession.response")
        .session
        .unwrap()
}

/// The servicer's checks of a captured request; returns its header.
fn check_request(name: &str, application: &Application) -> SessionHeader {
    let request: RelayRequest = decode(&format!("{name}.request"));
    validate_request_basic(&request).unwrap();
    let meta = request.meta.as_ref().unwrap();
    let header = meta.session_header.clone().unwrap();
    assert_eq!(header.application_address, application.address);
    assert_eq!(
        meta.supplier_operator_address,
        account("supplier1").address().to_string()
    );
    let ring = ring_addresses(application, Height(header.session_end_block_height));
    verify_request_signature(&request, &ring).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let payload = decode_http_request(&request.payload).unwrap();
    assert_eq!(payload.method, "POST");
    assert_eq!(payload.encode_to_vec(), request.payload, "{name}: payload");

    let mut altered = request;
    altered.payload = [altered.payload.as_ref(), b" "].concat().into();
    let refused = verify_request_signature(&altered, &ring);
    assert_eq!(refused, Err(RelayError::Ring(RingError::Invalid)), "{name}");
    header
}

/// The gateway's checks of a captured response.
fn check_response(name: &str, header: &SessionHeader) {
    let response: RelayResponse = decode(&format!("{name}.response"));
    verify_response(&response, header, &account("supplier1"))
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let payload = decode_http_response(&response.payload).unwrap();
    assert_eq!(payload.status_code, 200);
    assert_eq!(payload.encode_to_vec(), response.payload, "{name}: payload");
    let refused = verify_response(&response, header, &account("gateway1"));
    assert_eq!(refused, Err(RelayError::SupplierSignature), "{name}");
}

#[test]
fn requests_of_path_pass_the_servicers_checks_and_the_answers_the_gateways() {
    let (application, session) = (app1(), session_of_app1());
    assert_eq!(application.address, account("app1").address().to_string());
    for name in PATH {
        let header = check_request(name, &application);
        assert_eq!(header_difference(&header, session.header.as_ref().unwrap()), None);
        check_response(name, &header);
    }
    counted("wire/", "path-svc1", PATH.len());
}

#[test]
fn requests_of_pocket_ap_pass_the_servicers_checks_and_the_answers_the_gateways() {
    let request: RelayRequest = decode(&format!("{POCKET_AP}.request"));
    let meta = request.meta.unwrap();
    // app3 signs for itself and delegated to nobody.
    let application = Application {
        address: meta.session_header.unwrap().application_address,
        ..Application::default()
    };
    let keys = RingSignature::parse(&meta.signature).unwrap().keys().to_vec();
    assert_eq!(keys.len(), 2);
    assert!(
        keys.iter()
            .all(|key| Address::of_key(key).to_string() == application.address)
    );
    let header = check_request(POCKET_AP, &application);
    check_response(POCKET_AP, &header);
    counted("wire/", "pocketap-svc1", 1);
}

#[test]
fn the_gateway_of_a_captured_application_is_the_one_that_signed() {
    let gateways = ring_gateways(&app1(), Height(1_080));
    assert_eq!(gateways, [account("gateway1").address()]);
    let request: RelayRequest = decode("path-svc1-01.request");
    let keys = RingSignature::parse(&request.meta.unwrap().signature)
        .unwrap()
        .keys()
        .to_vec();
    assert_eq!(keys, [account("app1"), account("gateway1")]);
}

#[test]
fn queries_of_go_programs_are_read_and_written_with_the_same_bytes() {
    decode::<QueryGetApplicationRequest>("query.application.Application.request");
    for actor in ["app1", "gateway1", "supplier1"] {
        decode::<QueryAccountRequest>(&format!("query.auth.Account.{actor}.request"));
        account(actor);
    }
    decode::<proof::QueryParamsRequest>("query.proof.Params.request");
    decode::<proof::QueryParamsResponse>("query.proof.Params.response");
    decode::<service::QueryGetRelayMiningDifficultyRequest>("query.service.RelayMiningDifficulty.request");
    decode::<service::QueryGetRelayMiningDifficultyResponse>("query.service.RelayMiningDifficulty.response");
    decode::<service::QueryGetServiceRequest>("query.service.Service.request");
    decode::<service::QueryGetServiceResponse>("query.service.Service.response");
    decode::<QueryGetSessionRequest>("query.session.GetSession.request");
    decode::<session::QueryParamsRequest>("query.session.Params.request");
    decode::<session::QueryParamsResponse>("query.session.Params.response");
    decode::<shared::QueryParamsRequest>("query.shared.Params.request");
    decode::<shared::QueryParamsResponse>("query.shared.Params.response");
    decode::<supplier::QueryGetSupplierRequest>("query.supplier.Supplier.request");
    decode::<supplier::QueryGetSupplierResponse>("query.supplier.Supplier.response");
    decode::<tokenomics::QueryParamsRequest>("query.tokenomics.Params.request");
    decode::<tokenomics::QueryParamsResponse>("query.tokenomics.Params.response");
}

#[test]
fn transactions_of_a_go_relay_miner_are_read_and_written_with_the_same_bytes() {
    decode::<TxRaw>("tx.claim.ha-supplier1.session1071.height1083");
    decode::<TxRaw>("tx.proof.ha-supplier1.session1071.height1087");
}
