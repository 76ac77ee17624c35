use std::path::Path;

use super::*;
use crate::load::parse;

const OWNER: &str = "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4";

fn other() -> String {
    Address::new([7; 20]).to_string()
}

fn read<T: Config>(text: &str) -> Result<T, String> {
    parse(Path::new("stake.yaml"), text, &|_| None).map_err(|error| error.to_string())
}

#[test]
fn a_file_of_the_live_cli_says_everything() {
    let text = format!(
        "owner_address: {OWNER}\noperator_address: {operator}\nstake_amount: 1000069upokt\n\
         default_rev_share_percent:\n  {OWNER}: 80\n  {operator}: 20\nservices:\n\
         - service_id: anvil\n  endpoints:\n  - publicly_exposed_url: http://relayminer1:8545\n    rpc_type: JSON_RPC\n\
         - service_id: rest\n  rev_share_percent: {{{operator}: 100}}\n  endpoints:\n\
         \x20 - {{publicly_exposed_url: \"wss://r:1/x\", rpc_type: websocket, config: {{timeout: \"30\"}}}}\n",
        operator = other()
    );
    let stake: SupplierStake = read(&text).unwrap();
    assert_eq!(stake.operator().to_string(), other());
    assert_eq!(stake.stake_amount, Some(Amount(Upokt(1_000_069))));
    assert_eq!(stake.services[0].endpoints[0].rpc_type, StakedRpcType::JsonRpc);
    assert_eq!(
        stake.services[1].endpoints[0].config.timeout.as_deref(),
        Some("30")
    );
    assert_eq!(stake.shares(&stake.services[0]).values().sum::<u64>(), 100);
    assert_eq!(stake.shares(&stake.services[0]).len(), 2, "the default");
    assert_eq!(stake.shares(&stake.services[1]).len(), 1, "its own");
}

#[test]
fn what_is_left_out_goes_to_the_owner() {
    let text = format!(
        "owner_address: {OWNER}\nstake_amount: 1upokt\nservices:\n- service_id: eth\n  endpoints:\n  - {{publicly_exposed_url: http://r, rpc_type: rest}}\n"
    );
    let stake: SupplierStake = read(&text).unwrap();
    assert_eq!(stake.operator(), stake.owner_address);
    assert_eq!(
        stake.shares(&stake.services[0]),
        [(stake.owner_address, 100)].into()
    );
}

#[test]
fn every_fault_is_told_with_its_line() {
    let text = format!(
        "owner_address: {OWNER}\nstake_amount: 0upokt\ndefault_rev_share_percent: {{{OWNER}: 90}}\nservices:\n\
         - service_id: eth\n  endpoints: []\n\
         - service_id: eth\n  endpoints:\n  - {{publicly_exposed_url: \"ftp://r\", rpc_type: grpc}}\n"
    );
    let error = read::<SupplierStake>(&text).unwrap_err();
    for told in [
        "stake.yaml:2: stake_amount: must be above 0",
        "stake.yaml:3: default_rev_share_percent: the shares add up to 90, not to 100",
        "stake.yaml:6: services[0].endpoints: at least one is needed",
        "stake.yaml:7: services[1].service_id: the service is listed twice",
        "services[1].endpoints[0].publicly_exposed_url: must be",
    ] {
        assert!(error.contains(told), "{told} in\n{error}");
    }
    for (line, told) in [
        ("stake_amount: 1pokt", "is no amount"),
        ("stake_amount: 5", "amount"),
        ("stake: 5upokt", "unknown"),
    ] {
        let error = read::<SupplierStake>(&format!("owner_address: {OWNER}\n{line}\n")).unwrap_err();
        assert!(error.contains(told) && error.contains("stake.yaml:2"), "{error}");
    }
}

#[test]
fn applications_and_gateways_have_files_too() {
    let text = format!(
        "stake_amount: 5upokt\nservice_ids: [eth]\ngateway_addresses: [{OWNER}]\nper_session_spend_limit: 0upokt\n"
    );
    let stake: ApplicationStake = read(&text).unwrap();
    assert_eq!(stake.per_session_spend_limit, Some(Amount(Upokt(0))));
    assert!(
        read::<ApplicationStake>("stake_amount: 5upokt\nservice_ids: [a, b]\n")
            .unwrap_err()
            .contains("exactly one")
    );
    assert_eq!(
        read::<GatewayStake>("stake_amount: 7upokt\n")
            .unwrap()
            .stake_amount,
        Amount(Upokt(7))
    );
}
