//! What chain and model must agree on after every block, read by query.

use std::collections::BTreeMap;

use portico_protocol::wire::cosmos::bank::v1beta1::{
    QueryBalanceRequest, QueryBalanceResponse, QuerySupplyOfRequest, QuerySupplyOfResponse,
};
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket::{application, gateway, proof, service, session, shared, supplier};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::actors::{PEOPLE, SERVICES, accounts, address};
use crate::exact::{Amount, coins};
use crate::model::{App, Claim, ClaimKey, Gateway, N, Offer, Status, Supplier};
use crate::play::Play;
use crate::session::session_id;

impl Play {
    /// Everything that both know must be the same.
    pub(crate) fn compare(&self) -> Result<(), TestCaseError> {
        let height = self.chain.height;
        let (chain, model) = (&self.chain, &self.model);
        for account in accounts() {
            let request = QueryBalanceRequest {
                address: account.clone(),
                denom: "upokt".into(),
            };
            let answer: QueryBalanceResponse = chain
                .ask("/cosmos.bank.v1beta1.Query/Balance", &request)
                .expect("known");
            prop_assert_eq!(
                amount(answer.balance.as_ref()),
                model.balance(&account),
                "{} at {}",
                account,
                height
            );
        }
        let request = QuerySupplyOfRequest {
            denom: "upokt".into(),
        };
        let answer: QuerySupplyOfResponse = chain
            .ask("/cosmos.bank.v1beta1.Query/SupplyOf", &request)
            .expect("known");
        let supply = amount(answer.amount.as_ref());
        prop_assert_eq!(&supply, &(&model.minted - &model.burned), "supply at {}", height);
        prop_assert_eq!(
            &supply,
            &model.balances.values().sum::<Amount>(),
            "sum of balances at {}",
            height
        );
        prop_assert_eq!(self.apps(), model.apps.clone(), "applications at {}", height);
        prop_assert_eq!(self.gateways(), model.gateways.clone(), "gateways at {}", height);
        let mut suppliers = model.suppliers.clone();
        for supplier in suppliers.values_mut() {
            supplier
                .offers
                .sort_by(|a, b| (&a.service, a.from).cmp(&(&b.service, b.from)));
        }
        prop_assert_eq!(self.suppliers(), suppliers, "suppliers at {}", height);
        prop_assert_eq!(self.claims(), model.claims.clone(), "claims at {}", height);
        self.compare_services()?;
        self.compare_sessions()
    }

    fn compare_services(&self) -> Result<(), TestCaseError> {
        for id in SERVICES {
            let known = &self.model.services[id];
            let request = service::QueryGetServiceRequest {
                id: id.into(),
                dehydrated: false,
            };
            let answer: service::QueryGetServiceResponse = self
                .chain
                .ask("/pocket.service.Query/Service", &request)
                .expect("known");
            prop_assert_eq!(&answer.service.expect("there").owner_address, &known.owner);
            for height in [self.chain.height, self.chain.height + N] {
                let request = service::QueryGetRelayMiningDifficultyAtHeightRequest {
                    service_id: id.into(),
                    block_height: height,
                };
                let path = "/pocket.service.Query/RelayMiningDifficultyAtHeight";
                let answer: service::QueryGetRelayMiningDifficultyAtHeightResponse =
                    self.chain.ask(path, &request).expect("known");
                let target = answer.relay_mining_difficulty.expect("there").target_hash;
                let target = num_bigint::BigInt::from_bytes_be(num_bigint::Sign::Plus, &target);
                prop_assert_eq!(target, known.target_at(height), "target of {} at {}", id, height);
            }
        }
        Ok(())
    }

    /// The session that the newest block is in, of everybody.
    fn compare_sessions(&self) -> Result<(), TestCaseError> {
        if self.chain.height == 0 {
            return Ok(());
        }
        for who in 0..PEOPLE {
            let request = session::QueryGetSessionRequest {
                application_address: address(who).into(),
                service_id: "eth".into(),
                block_height: 0,
            };
            let path = "/pocket.session.Query/GetSession";
            let answer: Result<session::QueryGetSessionResponse, _> = self.chain.ask(path, &request);
            let theirs = answer.ok().map(|answer| {
                let session = answer.session.expect("there");
                let suppliers = session
                    .suppliers
                    .into_iter()
                    .map(|one| one.operator_address)
                    .collect::<Vec<_>>();
                (session.session_id, suppliers)
            });
            let members = self.model.session(address(who), "eth", self.chain.height).ok();
            let start = crate::model::session_start(self.chain.height);
            let ours = members.map(|members| (session_id(address(who), "eth", start), members));
            prop_assert_eq!(theirs, ours, "session of {} at {}", who, self.chain.height);
        }
        Ok(())
    }

    fn apps(&self) -> BTreeMap<String, App> {
        let request = application::QueryAllApplicationsRequest::default();
        let answer: application::QueryAllApplicationsResponse = self
            .chain
            .ask("/pocket.application.Query/AllApplications", &request)
            .expect("known");
        let signed = |height: u64| i64::try_from(height).expect("small");
        let apps = answer.applications.into_iter().map(|app| {
            let service =
                |config: Option<shared::ApplicationServiceConfig>| config.expect("there").service_id;
            let history = app.service_config_history.into_iter();
            let plain = App {
                stake: amount(app.stake.as_ref()),
                services: app
                    .service_configs
                    .into_iter()
                    .map(|config| config.service_id)
                    .collect(),
                history: history
                    .map(|one| {
                        (
                            service(one.service),
                            one.activation_height,
                            one.deactivation_height,
                        )
                    })
                    .collect(),
                gateways: app.delegatee_gateway_addresses,
                left: app
                    .pending_undelegations
                    .into_iter()
                    .map(|(end, list)| (signed(end), list.gateway_addresses))
                    .collect(),
                unstakes: signed(app.unstake_session_end_height),
                moves: app
                    .pending_transfer
                    .map(|moves| (moves.destination_address, signed(moves.session_end_height))),
                limit: app
                    .per_session_spend_limit
                    .as_ref()
                    .map(|limit| amount(Some(limit))),
            };
            (app.address, plain)
        });
        apps.collect()
    }

    fn gateways(&self) -> BTreeMap<String, Gateway> {
        let request = gateway::QueryAllGatewaysRequest::default();
        let answer: gateway::QueryAllGatewaysResponse = self
            .chain
            .ask("/pocket.gateway.Query/AllGateways", &request)
            .expect("known");
        let gateways = answer.gateways.into_iter().map(|one| {
            let unstakes = i64::try_from(one.unstake_session_end_height).expect("small");
            (
                one.address,
                Gateway {
                    stake: amount(one.stake.as_ref()),
                    unstakes,
                },
            )
        });
        gateways.collect()
    }

    fn suppliers(&self) -> BTreeMap<String, Supplier> {
        let request = supplier::QueryAllSuppliersRequest::default();
        let answer: supplier::QueryAllSuppliersResponse = self
            .chain
            .ask("/pocket.supplier.Query/AllSuppliers", &request)
            .expect("known");
        let offer = |update: shared::ServiceConfigUpdate| {
            let config = update.service.expect("there");
            let shares = config
                .rev_share
                .into_iter()
                .map(|one| (one.address, one.rev_share_percentage))
                .collect();
            Offer {
                service: config.service_id,
                shares,
                from: update.activation_height,
                until: update.deactivation_height,
            }
        };
        let suppliers = answer.supplier.into_iter().map(|one| {
            let mut offers: Vec<Offer> = one.service_config_history.into_iter().map(offer).collect();
            offers.sort_by(|a, b| (&a.service, a.from).cmp(&(&b.service, b.from)));
            let unstakes = i64::try_from(one.unstake_session_end_height).expect("small");
            let plain = Supplier {
                owner: one.owner_address,
                stake: amount(one.stake.as_ref()),
                offers,
                unstakes,
            };
            (one.operator_address, plain)
        });
        suppliers.collect()
    }

    fn claims(&self) -> BTreeMap<ClaimKey, Claim> {
        let request = proof::QueryAllClaimsRequest::default();
        let answer: proof::QueryAllClaimsResponse = self
            .chain
            .ask("/pocket.proof.Query/AllClaims", &request)
            .expect("known");
        let claims = answer.claims.into_iter().map(|one| {
            let status = [Status::Pending, Status::Valid, Status::Invalid]
                .into_iter()
                .find(|status| *status as i32 == one.proof_validation_status)
                .expect("known");
            let header = one.session_header.expect("there");
            let number =
                |at: usize| u64::from_be_bytes(one.root_hash[at..at + 8].try_into().expect("8 bytes"));
            let claim = Claim {
                app: header.application_address,
                service: header.service_id,
                start: header.session_start_block_height,
                sum: number(32),
                count: number(40),
                root: one.root_hash,
                status,
            };
            (
                (
                    header.session_end_block_height,
                    header.session_id,
                    one.supplier_operator_address,
                ),
                claim,
            )
        });
        claims.collect()
    }
}

fn amount(coin: Option<&Coin>) -> Amount {
    coin.map_or_else(|| coins(0), |coin| coin.amount.parse().expect("a number"))
}
