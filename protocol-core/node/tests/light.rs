//! Our light client over our RPC, against chains of four validators whose set changes; and nodes in between that lie.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::validators::{chain_of, next_block, set, signing};
use common::{CHAIN_ID, Running};
use portico_light::tendermint::{Hash, Time};
use portico_light::{Anchor, Ask, Error, Fault, LightClient, Options};
use portico_net::tls::ClientTls;
use serde_json::Value;

/// A node, and what somebody on the way to it does to its answers.
struct Way {
    url: String,
    asked: AtomicUsize,
    tamper: Tamper,
}

/// Changes the answer to a call of a method.
type Tamper = fn(&str, &mut Value);

impl Way {
    fn to(node: &Running) -> Self {
        Self::tampered(node, |_, _| {})
    }

    fn tampered(node: &Running, tamper: Tamper) -> Self {
        Self {
            url: node.rpc.clone(),
            asked: AtomicUsize::new(0),
            tamper,
        }
    }
}

impl Ask for &Way {
    async fn ask(&self, body: Vec<u8>) -> Result<Vec<u8>, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let request: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        let sent = ClientTls::public_http().post(&self.url).body(body).send().await;
        let answer = sent.map_err(|error| error.to_string())?.bytes().await;
        let mut answer = serde_json::from_slice(&answer.map_err(|error| error.to_string())?).expect("JSON");
        (self.tamper)(request["method"].as_str().unwrap_or_default(), &mut answer);
        Ok(answer.to_string().into_bytes())
    }
}

fn now() -> Time {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    Time::from_unix_timestamp(since.as_secs().cast_signed(), 0).expect("in range")
}

async fn anchor(node: &Running, height: u64) -> Anchor {
    let answer = ClientTls::public_http()
        .get(format!("{}/block?height={height}", node.rpc))
        .send()
        .await
        .expect("sent");
    let answer: Value = answer.json().await.expect("JSON");
    let hash = answer["result"]["block_id"]["hash"].as_str().expect("a text");
    Anchor {
        chain_id: CHAIN_ID.parse().expect("an id"),
        height,
        hash: hash.parse::<Hash>().expect("a hash"),
    }
}

/// A client whose options do not mind that the blocks' times are those of a test's genesis.
async fn client<'a>(node: &Running, way: &'a Way, witnesses: Vec<&'a Way>) -> LightClient<&'a Way> {
    LightClient::new(way, witnesses, anchor(node, 1).await, Options::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_height_that_the_chain_reports_verifies_across_changes_of_the_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let numbers = [1, 2, 3, 4, 5, 6, 7, 8];
    // Keys of one validator are not here: the quorum is enough.
    let node = Running::at(signing(folder.path(), &numbers[..7]), chain_of(&[1, 2, 3, 8])).await;
    let way = Way::to(&node);
    let mut steady = client(&node, &way, vec![&way]).await;
    for height in 2..=4 {
        next_block(&node).await;
        let verified = steady.verify(None, now).await.expect("verifies");
        assert_eq!(verified.target().height(), height, "the newest is signed already");
        assert_eq!(steady.trusted().height, height);
    }
    // Nobody stays from the first set to the last one: no single step leads there.
    for numbers in [&[2, 3, 4, 5], &[4, 5, 6, 7]] {
        set(&node, numbers).await;
        for _ in 0..3 {
            next_block(&node).await;
        }
    }
    let newest = node.chain.head().borrow().height.0.unsigned_abs();
    let mut behind = client(&node, &way, vec![&way]).await;
    let verified = behind.verify(None, now).await.expect("verifies");
    assert_eq!(verified.target().height(), newest);
    assert!(verified.blocks.len() > 2, "one between at least");
    for height in 1..=newest {
        let mut fresh = client(&node, &way, Vec::new()).await;
        let verified = fresh.verify(Some(height), now).await.expect("verifies");
        assert_eq!(verified.target().height(), height);
    }
    let below = behind.verify(Some(2), now).await;
    assert!(matches!(below, Err(Error::BeforeAnchor { target: 2, .. })));
    let ahead = behind.verify(Some(newest + 1), now).await;
    assert!(matches!(
        ahead,
        Err(Error::Primary {
            fault: Fault::Silent(_),
            ..
        })
    ));
    node.stop().await.expect("in order");
}

/// Makes the second signature of a commit absent.
fn take_one(entries: &mut Value) {
    entries[1] = serde_json::json!({
        "block_id_flag": 1, "validator_address": "", "timestamp": "0001-01-01T00:00:00Z", "signature": null,
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_less_one_and_tampered_headers_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Running::at(signing(folder.path(), &[1, 2, 3]), chain_of(&[1, 2, 3, 4])).await;
    for _ in 0..3 {
        next_block(&node).await;
    }
    let honest = Way::to(&node);
    client(&node, &honest, vec![&honest])
        .await
        .verify(Some(4), now)
        .await
        .expect("three of four");

    /// Changes the header or the signatures of a commit at a height other than the anchor's.
    fn commit(method: &str, answer: &mut Value, change: fn(&mut Value)) {
        let signed = &mut answer["result"]["signed_header"];
        if method == "commit" && signed["header"]["height"] != "1" {
            change(signed);
        }
    }
    let lies: [(&str, Tamper); 7] = [
        ("one signature less", |method, answer| {
            commit(method, answer, |signed| {
                let entries = signed["commit"]["signatures"].as_array_mut().expect("a list");
                let place = entries
                    .iter()
                    .position(|entry| entry["block_id_flag"] == 2)
                    .expect("one");
                entries.swap(place, 1);
                take_one(&mut signed["commit"]["signatures"]);
            });
        }),
        ("another state", |method, answer| {
            commit(method, answer, |signed| {
                signed["header"]["app_hash"] = "11".repeat(32).into()
            });
        }),
        ("another time", |method, answer| {
            commit(method, answer, |signed| {
                signed["header"]["time"] = "2023-11-14T23:13:20Z".into()
            });
        }),
        ("another parent", |method, answer| {
            commit(method, answer, |signed| {
                signed["header"]["last_block_id"]["hash"] = "22".repeat(32).into()
            });
        }),
        ("another block in the commit", |method, answer| {
            commit(method, answer, |signed| {
                signed["commit"]["block_id"]["hash"] = "33".repeat(32).into()
            });
        }),
        ("a validator less", |method, answer| {
            if method == "validators"
                && answer["result"]["block_height"] != "1"
                && answer["result"]["block_height"] != "2"
            {
                answer["result"]["validators"]
                    .as_array_mut()
                    .expect("a list")
                    .pop();
                answer["result"]["total"] = "3".into();
            }
        }),
        ("a forged signature", |method, answer| {
            commit(method, answer, |signed| {
                let entries = signed["commit"]["signatures"].as_array_mut().expect("a list");
                let signatures: Vec<Value> = entries.iter().map(|entry| entry["signature"].clone()).collect();
                let given: Vec<usize> = (0..4).filter(|at| !signatures[*at].is_null()).collect();
                entries[given[0]]["signature"] = signatures[given[1]].clone();
            });
        }),
    ];
    for (what, tamper) in lies {
        let way = Way::tampered(&node, tamper);
        let outcome = client(&node, &way, vec![&honest])
            .await
            .verify(Some(4), now)
            .await;
        assert!(
            matches!(outcome, Err(Error::Primary { .. })),
            "{what}: {outcome:?}"
        );
        // A witness who lies in that way is named, and the header stands.
        let mut watched = client(&node, &honest, vec![&way, &honest]).await;
        let verified = watched
            .verify(Some(4), now)
            .await
            .expect("confirmed by the other");
        let same_header = [
            "one signature less",
            "another block in the commit",
            "a forged signature",
            "a validator less",
        ];
        assert_eq!(verified.faults.is_empty(), same_header.contains(&what), "{what}");
        let alone = client(&node, &honest, vec![&way])
            .await
            .verify(Some(4), now)
            .await;
        match alone {
            Ok(_) => assert!(same_header.contains(&what), "{what}"),
            Err(error) => assert!(matches!(error, Error::NoWitness(_)), "{what}: {error}"),
        }
    }
    node.stop().await.expect("in order");
}
