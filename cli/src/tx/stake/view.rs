//! The plan, for people and as JSON.

use anyhow::Result;
use serde_json::{Value, json};

use super::plan::{Change, Plan};
use crate::table::grouped;

pub(super) fn print(plan: &Plan, as_json: bool) -> Result<()> {
    match as_json {
        true => println!("{}", serde_json::to_string_pretty(&plan_json(plan))?),
        false => print!("{}", text(plan)),
    }
    Ok(())
}

pub(super) fn text(plan: &Plan) -> String {
    let mut text = String::new();
    for change in plan
        .changes
        .iter()
        .filter(|change| change.kind != "same" || !change.faults.is_empty())
    {
        text += &format!(
            "{} {}  ({})\n",
            change.kind,
            change.operator,
            change.file.display()
        );
        for line in &change.lines {
            text += &format!("  {line}\n");
        }
        if let Some(signer) = change.signer {
            text += &format!("  signed by {signer}");
            if change.pays.0 > 0 {
                text += &format!(", who pays {} upokt", grouped(change.pays.0));
            }
            if change.returned.0 > 0 {
                text += &format!("; {} upokt go back to the owner", grouped(change.returned.0));
            }
            text.push('\n');
        }
        for fault in &change.faults {
            text += &format!("  ! {fault}\n");
        }
    }
    let count = |kind: &str| plan.changes.iter().filter(|change| change.kind == kind).count();
    let kinds = [
        ("new", "new"),
        ("change", "to change"),
        ("unstake", "to unstake"),
        ("same", "as they should be"),
    ];
    let counts = kinds
        .iter()
        .map(|(kind, name)| (count(kind), name))
        .filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, name)| format!("{count} {name}")).collect();
    text += &format!("{} suppliers: {}\n", plan.changes.len(), counts.join(", "));
    for (account, (holds, pays)) in &plan.accounts {
        text += &format!(
            "{account} holds {} upokt and pays {}\n",
            grouped(holds.0),
            grouped(pays.0)
        );
    }
    let of_accounts = plan.faults();
    let told: usize = plan.changes.iter().map(|change| change.faults.len()).sum();
    text + &of_accounts
        .iter()
        .skip(told)
        .map(|fault| format!("! {fault}\n"))
        .collect::<String>()
}

fn plan_json(plan: &Plan) -> Value {
    let change = |change: &Change| {
        json!({
            "operator": change.operator,
            "file": change.file,
            "kind": change.kind,
            "changes": change.lines,
            "signer": change.signer,
            "pays_upokt": change.pays.0.to_string(),
            "returned_upokt": change.returned.0.to_string(),
            "faults": change.faults,
        })
    };
    let account = |(address, (holds, pays)): (
        &portico_protocol::Address,
        &(portico_protocol::Upokt, portico_protocol::Upokt),
    )| {
        json!({ "address": address, "holds_upokt": holds.0.to_string(), "pays_upokt": pays.0.to_string() })
    };
    json!({
        "suppliers": plan.changes.iter().map(change).collect::<Vec<_>>(),
        "accounts": plan.accounts.iter().map(account).collect::<Vec<_>>(),
        "faults": plan.faults(),
    })
}
