use portico_protocol::Height;
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::session::Params;
use portico_protocol::wire::pocket::shared::{
    ApplicationServiceConfig, ServiceConfigUpdate, Supplier, SupplierServiceConfig,
};
use serde_json::Value;

use super::lab::{Lab, each, number, shared_params, text, vectors};
use crate::{application, session, shared, supplier};

/// Sections that are arithmetic of `portico-protocol`.
const ARITHMETIC: [&str; 4] = ["earliest_commit_heights", "meta", "session_id", "windows"];

#[test]
fn hydrates_sessions_as_the_go_implementation() {
    let all = vectors("session.json");
    for (section, cases) in &all {
        match section.as_str() {
            "hydration_conditions" => hydration_conditions(&all["shared_params"], cases),
            "supplier_selection" => supplier_selection(&all, cases),
            "candidates" | "shared_params" => {}
            known if ARITHMETIC.contains(&known) => {}
            unknown => panic!("section {unknown} is not known here"),
        }
    }
}

fn stake_application(lab: &mut Lab, address: &str, services: &[String], unstake: u64) {
    let config = |id: &String| ApplicationServiceConfig {
        service_id: id.clone(),
    };
    let app = Application {
        address: address.into(),
        service_configs: services.iter().map(config).collect(),
        unstake_session_end_height: unstake,
        ..Application::default()
    };
    lab.at(0, |ctx| {
        application::save(ctx, &app);
        Ok(())
    })
    .unwrap();
}

fn stake_supplier(lab: &mut Lab, update: ServiceConfigUpdate) {
    lab.at(0, |ctx| {
        let old = supplier::supplier(&ctx.state, &update.operator_address)?;
        let mut new = old.clone().unwrap_or_else(|| Supplier {
            operator_address: update.operator_address.clone(),
            ..Supplier::default()
        });
        new.service_config_history.push(update);
        supplier::save(ctx, old.as_ref(), &new);
        Ok(())
    })
    .unwrap();
}

fn update(operator: String, service_id: String, from: i64, to: i64) -> ServiceConfigUpdate {
    let service = SupplierServiceConfig {
        service_id,
        ..SupplierServiceConfig::default()
    };
    ServiceConfigUpdate {
        operator_address: operator,
        service: Some(service),
        activation_height: from,
        deactivation_height: to,
    }
}

fn set_num_suppliers(lab: &mut Lab, num_suppliers_per_session: u64) {
    lab.at(0, |ctx| {
        session::set_params(
            ctx,
            &Params {
                num_suppliers_per_session,
            },
        );
        Ok(())
    })
    .unwrap();
}

fn check(lab: &Lab, current: i64, case: &Value) {
    let height = case["query_height"].as_i64().unwrap();
    let (app, service) = (text(&case["application_address"]), text(&case["service_id"]));
    let ours = session::hydrate(lab.state(), Height(current), &app, &service, Height(height));
    if case["result"]["ok"] != true {
        assert_eq!(ours.unwrap_err().to_string(), case["result"]["error"], "{case}");
        return;
    }
    let ours = ours.unwrap();
    let (header, theirs) = (ours.header.unwrap(), &case["session_header"]);
    assert_eq!(header.session_id, theirs["session_id"], "{case}");
    assert_eq!(header.application_address, theirs["application_address"]);
    assert_eq!(header.service_id, theirs["service_id"]);
    assert_eq!(
        header.session_start_block_height,
        theirs["session_start_block_height"]
    );
    assert_eq!(
        header.session_end_block_height,
        theirs["session_end_block_height"]
    );
    assert_eq!(ours.session_number, case["session_number"]);
    let suppliers: Vec<&str> = ours
        .suppliers
        .iter()
        .map(|one| one.operator_address.as_str())
        .collect();
    let theirs: Vec<&str> = case["suppliers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one.as_str().unwrap())
        .collect();
    assert_eq!(suppliers, theirs, "{case}");
}

fn hydration_conditions(params: &Value, cases: &Value) {
    let (setup, cases) = cases.as_array().unwrap().split_first().unwrap();
    let current = setup["current_height"].as_i64().unwrap();
    let mut lab = Lab::new().with_block_hashes(1..=current);
    let params = shared_params(&params[setup["shared_params"].as_str().unwrap()]);
    lab.at(0, |ctx| {
        shared::set_params(ctx, &params);
        Ok(())
    })
    .unwrap();
    set_num_suppliers(&mut lab, number(&setup["num_suppliers_per_session"]));
    for app in setup["applications"].as_array().unwrap() {
        let services: Vec<String> = app["service_ids"].as_array().unwrap().iter().map(text).collect();
        let unstake = number(&app["unstake_session_end_height"]);
        stake_application(&mut lab, &text(&app["address"]), &services, unstake);
    }
    for one in setup["service_config_updates"].as_array().unwrap() {
        let height = |name: &str| one[name].as_i64().unwrap();
        let (from, to) = (height("activation_height"), height("deactivation_height"));
        let new = update(text(&one["operator_address"]), text(&one["service_id"]), from, to);
        stake_supplier(&mut lab, new);
    }
    each(
        "session.json",
        "hydration_conditions",
        &Value::from(cases),
        |case| check(&lab, current, case),
    );
}

fn supplier_selection(all: &serde_json::Map<String, Value>, cases: &Value) {
    const CURRENT: i64 = 1000;
    let mut labs = std::collections::BTreeMap::new();
    for candidates in all["candidates"].as_array().unwrap() {
        let mut lab = Lab::new().with_block_hashes(1..=CURRENT);
        for operator in candidates["operator_addresses"].as_array().into_iter().flatten() {
            stake_supplier(&mut lab, update(text(operator), "eth".into(), 1, 0));
        }
        labs.insert(number(&candidates["num_candidates"]), lab);
    }
    labs.insert(0, Lab::new().with_block_hashes(1..=CURRENT));
    each("session.json", "supplier_selection", cases, |case| {
        let lab = labs.get_mut(&number(&case["num_candidates"])).unwrap();
        set_num_suppliers(lab, number(&case["num_suppliers_per_session"]));
        let params = shared_params(&all["shared_params"][case["shared_params"].as_str().unwrap()]);
        lab.at(0, |ctx| {
            shared::set_params(ctx, &params);
            Ok(())
        })
        .unwrap();
        stake_application(lab, &text(&case["application_address"]), &["eth".into()], 0);
        check(lab, CURRENT, case);
    });
}
