//! Queries: pages, filters, and what is not there.

use portico_protocol::wire::cosmos::bank::v1beta1::{
    QueryAllBalancesRequest, QueryAllBalancesResponse, QueryBalanceRequest, QueryBalanceResponse,
    QuerySupplyOfRequest, QuerySupplyOfResponse, QueryTotalSupplyRequest, QueryTotalSupplyResponse,
};
use portico_protocol::wire::cosmos::base::query::v1beta1::PageRequest;
use portico_protocol::wire::pocket::application::{
    Application, QueryAllApplicationsRequest, QueryAllApplicationsResponse,
};
use portico_protocol::wire::pocket::supplier::{QueryAllSuppliersRequest, QueryAllSuppliersResponse};
use portico_protocol::{Height, ServiceId};
use prost::Message;

use super::network::{Network, address, genesis};
use crate::genesis::GenesisApplication;
use crate::query::{MAX_PAGE, QueryError, query, services};

const APPLICATIONS: usize = 600;

/// A chain with many applications, of which every third is delegated.
fn network() -> Network {
    let mut genesis = genesis();
    let template = genesis.applications[0].clone();
    genesis.applications = (0..APPLICATIONS)
        .map(|n| GenesisApplication {
            address: address(&format!("application {n}")),
            delegatees: if n % 3 == 0 {
                template.delegatees.clone()
            } else {
                Vec::new()
            },
            service_id: ServiceId::new("eth").unwrap(),
            stake: template.stake,
        })
        .collect();
    Network::new(&genesis)
}

fn page(network: &Network, gateway: &str, page: Option<PageRequest>) -> QueryAllApplicationsResponse {
    let request = QueryAllApplicationsRequest {
        pagination: page,
        delegatee_gateway_address: gateway.into(),
    };
    network.query("/pocket.application.Query/AllApplications", &request)
}

/// All pages of `limit`, followed by key.
fn follow(network: &Network, gateway: &str, limit: u64, reverse: bool) -> Vec<String> {
    let mut addresses = Vec::new();
    let mut key = Vec::new();
    loop {
        let request = PageRequest {
            key,
            limit,
            reverse,
            ..PageRequest::default()
        };
        let answer = page(network, gateway, Some(request));
        assert!(answer.applications.len() as u64 <= limit);
        addresses.extend(
            answer
                .applications
                .iter()
                .map(|app: &Application| app.address.clone()),
        );
        key = answer.pagination.unwrap().next_key;
        if key.is_empty() {
            return addresses;
        }
    }
}

#[test]
fn pages_through_everything_once_in_both_directions() {
    let network = network();
    let mut expected: Vec<String> = (0..APPLICATIONS)
        .map(|n| address(&format!("application {n}")).to_string())
        .collect();
    expected.sort();
    for limit in [1, 7, 255, 256, 257, 599, 600, 601] {
        assert_eq!(follow(&network, "", limit, false), expected, "{limit}");
    }
    expected.reverse();
    for limit in [7, 600] {
        assert_eq!(follow(&network, "", limit, true), expected, "{limit}");
    }
    let gateway = address("gateway").to_string();
    assert_eq!(follow(&network, &gateway, 17, false).len(), APPLICATIONS / 3);
}

#[test]
fn counts_when_asked_and_bounds_a_page() {
    let network = network();
    let answer = page(&network, "", None);
    assert_eq!(answer.applications.len(), 100);
    assert_eq!(answer.pagination.unwrap().total, APPLICATIONS as u64);
    let everything = PageRequest {
        limit: u64::MAX,
        ..PageRequest::default()
    };
    let answer = page(&network, "", Some(everything));
    assert_eq!(answer.applications.len(), APPLICATIONS.min(MAX_PAGE));
    assert_eq!(answer.pagination.unwrap().total, 0, "not asked for");
    let counted = PageRequest {
        limit: 5,
        offset: 598,
        count_total: true,
        ..PageRequest::default()
    };
    let answer = page(&network, "", Some(counted));
    assert_eq!(answer.applications.len(), 2);
    assert_eq!(answer.pagination.unwrap().total, APPLICATIONS as u64);
    let both = QueryAllApplicationsRequest {
        pagination: Some(PageRequest {
            key: vec![1],
            offset: 1,
            ..PageRequest::default()
        }),
        ..QueryAllApplicationsRequest::default()
    };
    let path = "/pocket.application.Query/AllApplications";
    let error = query(network.state(), Height(0), path, &both.encode_to_vec()).unwrap_err();
    assert!(matches!(error, QueryError::InvalidArgument(_)), "{error:?}");
}

#[test]
fn filters_suppliers_by_service_owner_and_operator() {
    let mut network = Network::new(&genesis());
    network.run_to(1);
    let count = |service: &str, owner: &str, operator: &str| {
        let text = |name: &str| {
            if name.is_empty() {
                String::new()
            } else {
                address(name).to_string()
            }
        };
        let request = QueryAllSuppliersRequest {
            service_id: service.into(),
            owner_address: text(owner),
            operator_address: text(operator),
            ..QueryAllSuppliersRequest::default()
        };
        let answer: QueryAllSuppliersResponse =
            network.query("/pocket.supplier.Query/AllSuppliers", &request);
        answer.supplier.len()
    };
    assert_eq!(
        [
            count("", "", ""),
            count("eth", "", ""),
            count("base", "", ""),
            count("eth", "owner", "supplier"),
            count("", "supplier", "")
        ],
        [1, 1, 0, 1, 0]
    );
}

#[test]
fn answers_what_banks_are_asked() {
    let network = Network::new(&genesis());
    let balance = |denom: &str| -> String {
        let request = QueryBalanceRequest {
            address: address("owner").to_string(),
            denom: denom.into(),
        };
        let answer: QueryBalanceResponse = network.query("/cosmos.bank.v1beta1.Query/Balance", &request);
        let coin = answer.balance.unwrap();
        assert_eq!(coin.denom, denom);
        coin.amount
    };
    assert_eq!(
        [balance("upokt"), balance("mact")],
        ["10000000000".to_owned(), "0".to_owned()]
    );
    let request = QueryAllBalancesRequest {
        address: address("nobody").to_string(),
        ..QueryAllBalancesRequest::default()
    };
    let answer: QueryAllBalancesResponse = network.query("/cosmos.bank.v1beta1.Query/AllBalances", &request);
    assert!(answer.balances.is_empty());
    let supply = genesis().supply().0.to_string();
    let answer: QueryTotalSupplyResponse = network.query(
        "/cosmos.bank.v1beta1.Query/TotalSupply",
        &QueryTotalSupplyRequest::default(),
    );
    assert_eq!(answer.supply[0].amount, supply);
    let request = QuerySupplyOfRequest {
        denom: "upokt".into(),
    };
    let answer: QuerySupplyOfResponse = network.query("/cosmos.bank.v1beta1.Query/SupplyOf", &request);
    assert_eq!(answer.amount.unwrap().amount, supply);
}

#[test]
fn says_what_is_not_there() {
    let network = Network::new(&genesis());
    let ask = |path: &str, request: &[u8]| query(network.state(), Height(0), path, request).unwrap_err();
    for path in services() {
        let error = ask(&format!("/{path}/Nothing"), &[]);
        assert!(matches!(error, QueryError::Unimplemented(_)), "{path}: {error:?}");
    }
    assert!(matches!(
        ask("/pocket.nothing.Query/Params", &[]),
        QueryError::Unimplemented(_)
    ));
    assert!(matches!(ask("", &[]), QueryError::Unimplemented(_)));
    let path = "/pocket.supplier.Query/Supplier";
    assert!(matches!(ask(path, &[0xff]), QueryError::InvalidArgument(_)));
    assert!(matches!(ask(path, &[]), QueryError::NotFound(_)));
    let request = portico_protocol::wire::pocket::supplier::QueryGetSupplierRequest {
        operator_address: address("nobody").to_string(),
        dehydrated: false,
    };
    assert!(matches!(
        ask(path, &request.encode_to_vec()),
        QueryError::NotFound(_)
    ));
    let request = portico_protocol::wire::pocket::session::QueryGetSessionRequest {
        application_address: address("application").to_string(),
        service_id: "eth".into(),
        block_height: 7,
    };
    let error = ask("/pocket.session.Query/GetSession", &request.encode_to_vec());
    assert!(
        matches!(&error, QueryError::Internal(text) if text.contains("ahead of the last committed")),
        "{error:?}"
    );
}
