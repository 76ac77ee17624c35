use super::*;

pub(super) const FIRST: LinkId = 1;
pub(super) const SECOND: LinkId = 2;

pub(super) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Hears a request that is to be forwarded as it is.
pub(super) fn ask(conversation: &mut Conversation, text: &str, link: LinkId) {
    assert_eq!(
        conversation.heard(bytes(text), link, 10),
        Heard::Forward(bytes(text))
    );
}

/// What the client gets when a socket says `text`; nothing may be asked.
pub(super) fn shown(conversation: &mut Conversation, text: &str, link: LinkId) -> Vec<String> {
    let told = conversation.told(&bytes(text), link);
    assert!(told.to_supplier.is_empty() && told.to_old.is_empty(), "{told:?}");
    texts(told.to_client)
}

pub(super) fn texts(all: Vec<Bytes>) -> Vec<String> {
    let text = |one: Bytes| String::from_utf8(one.to_vec()).unwrap();
    all.into_iter().map(text).collect()
}

fn subscribe(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"eth_subscribe","params":{params}}}"#)
}

fn subscribed(id: &str, subscription: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{subscription}"}}"#)
}

fn head(subscription: &str, number: u64) -> String {
    pushed(
        subscription,
        &format!(r#"{{"number":"0x{number:x}","hash":"0xh{number}"}}"#),
    )
}

fn pushed(subscription: &str, result: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{subscription}","result":{result}}}}}"#
    )
}

/// A client that follows new heads, as the first socket's `0xa`, and whose node has not said what its newest block was.
fn following() -> Conversation {
    following_subscription(r#"["newHeads"]"#)
}

/// Takes a client's subscription, which the first socket knows as `0xa`.
fn following_subscription(params: &str) -> Conversation {
    let mut conversation = Conversation::default();
    ask(&mut conversation, &subscribe(params), FIRST);
    let told = conversation.told(&bytes(&subscribed("7", "0xa")), FIRST);
    assert_eq!(texts(told.to_client), [subscribed("7", "0xa")]);
    assert_eq!(
        texts(told.to_supplier),
        [r#"{"jsonrpc":"2.0","id":"portico-1","method":"eth_blockNumber","params":[]}"#]
    );
    conversation
}

/// The answer to that question.
fn begins_after(conversation: &mut Conversation, block: u64) {
    let newest = format!(r#"{{"jsonrpc":"2.0","id":"portico-1","result":"0x{block:x}"}}"#);
    assert_eq!(shown(conversation, &newest, FIRST), [""; 0]);
}

/// Opens the second socket, which knows the subscription as `0xb`.
fn moved(conversation: &mut Conversation) {
    let asked = texts(conversation.opened(SECOND));
    assert_eq!(
        asked,
        [r#"{"jsonrpc":"2.0","id":"portico-2","method":"eth_subscribe","params":["newHeads"]}"#]
    );
    let told = conversation.told(&bytes(&subscribed("\"portico-2\"", "0xb")), SECOND);
    assert!(
        told.to_client.is_empty(),
        "the client asked for nothing: {told:?}"
    );
    assert_eq!(
        texts(told.to_supplier),
        [r#"{"jsonrpc":"2.0","id":"portico-3","method":"eth_getBlockByNumber","params":["latest",false]}"#]
    );
}

/// Takes a client's subscription to logs, which the first socket knows as `0xa`, up to block 5.
fn following_logs() -> Conversation {
    let mut conversation = following_subscription(r#"["logs",{"address":"0xc"}]"#);
    begins_after(&mut conversation, 5);
    conversation
}

fn log(block: u64, hash: &str, index: u64, removed: bool) -> String {
    format!(
        r#"{{"address":"0xc","blockHash":"{hash}","blockNumber":"0x{block:x}","logIndex":"0x{index:x}","removed":{removed}}}"#
    )
}

/// Opens the second socket, whose newest block is this one; returns what it is asked for then.
fn moved_logs(conversation: &mut Conversation, newest: u64) -> Vec<String> {
    let asked = texts(conversation.opened(SECOND));
    assert!(
        asked[0].contains(r#""id":"portico-2","method":"eth_subscribe""#),
        "{asked:?}"
    );
    let told = conversation.told(&bytes(&subscribed("\"portico-2\"", "0xb")), SECOND);
    assert!(told.to_client.is_empty(), "{told:?}");
    assert!(texts(told.to_supplier)[0].contains("eth_blockNumber"));
    let newest = format!(r#"{{"jsonrpc":"2.0","id":"portico-3","result":"0x{newest:x}"}}"#);
    let told = conversation.told(&bytes(&newest), SECOND);
    assert!(told.to_client.is_empty(), "{told:?}");
    texts(told.to_supplier)
}

#[test]
fn the_newest_block_is_asked_for_and_told_when_a_subscription_moves() {
    let mut conversation = following();
    shown(&mut conversation, &head("0xa", 1), FIRST);
    conversation.lost(FIRST, None);
    moved(&mut conversation);
    let latest =
        r#"{"jsonrpc":"2.0","id":"portico-3","result":{"number":"0x2","hash":"0xh2","transactions":[]}}"#;
    let told = shown(&mut conversation, latest, SECOND);
    assert_eq!(told, [pushed("0xa", r#"{"hash":"0xh2","number":"0x2"}"#)]);
    assert_eq!(shown(&mut conversation, &head("0xb", 2), SECOND), [""; 0], "once");
    assert_eq!(
        shown(&mut conversation, &head("0xb", 3), SECOND),
        [head("0xa", 3)]
    );
}

/// A client that subscribed just before a rollover, and was told nothing yet.
#[test]
fn blocks_before_a_subscriptions_first_head_are_not_missed() {
    let mut conversation = following();
    begins_after(&mut conversation, 4);
    conversation.lost(FIRST, None);
    moved(&mut conversation);
    let latest = r#"{"jsonrpc":"2.0","id":"portico-3","result":{"number":"0x6","hash":"0xh6"}}"#;
    let told = conversation.told(&bytes(latest), SECOND);
    assert_eq!(
        texts(told.to_supplier),
        [r#"{"jsonrpc":"2.0","id":"portico-4","method":"eth_getBlockByNumber","params":["0x5",false]}"#]
    );
    let fifth = r#"{"jsonrpc":"2.0","id":"portico-4","result":{"number":"0x5","hash":"0xh5"}}"#;
    let shown_head = |number: u64| {
        pushed(
            "0xa",
            &format!(r#"{{"hash":"0xh{number}","number":"0x{number:x}"}}"#),
        )
    };
    assert_eq!(
        shown(&mut conversation, fifth, SECOND),
        [shown_head(5), shown_head(6)]
    );

    // Nothing came since: nothing is told of it.
    let mut conversation = following();
    begins_after(&mut conversation, 4);
    moved(&mut conversation);
    let latest = r#"{"jsonrpc":"2.0","id":"portico-3","result":{"number":"0x4","hash":"0xh4"}}"#;
    assert_eq!(shown(&mut conversation, latest, SECOND), [""; 0]);
}

/// Its node was lost before it said where it begins: then nobody knows what is missing, and that is told.
#[test]
fn a_subscription_that_was_lost_before_it_began_tells_a_gap() {
    let mut conversation = following();
    conversation.lost(FIRST, None);
    moved(&mut conversation);
    let latest = r#"{"jsonrpc":"2.0","id":"portico-3","result":{"number":"0x6","hash":"0xh6"}}"#;
    let told = shown(&mut conversation, latest, SECOND);
    assert!(told.len() == 1 && told[0].contains("portico_gap"), "{told:?}");
    let next = pushed("0xb", r#"{"number":"0x7","hash":"0xh7"}"#);
    assert_eq!(
        shown(&mut conversation, &next, SECOND),
        [next.replace("0xb", "0xa")]
    );
}

/// Found with a hundred clients: a supplier was killed while blocks were replaced, and the new one's were told from the newest on.
#[test]
fn blocks_that_were_replaced_between_two_sockets_are_told_from_where_they_part() {
    let block = |number: u64, hash: &str, parent: &str| {
        format!(r#"{{"hash":"{hash}","number":"0x{number:x}","parentHash":"{parent}"}}"#)
    };
    let answer =
        |id: u64, block: &str| format!(r#"{{"jsonrpc":"2.0","id":"portico-{id}","result":{block}}}"#);
    let asked = |id: u64, number: u64| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"portico-{id}","method":"eth_getBlockByNumber","params":["0x{number:x}",false]}}"#
        )
    };
    let before = || {
        let mut conversation = following();
        begins_after(&mut conversation, 4);
        for (number, hash, parent) in [(5, "a5", "a4"), (6, "a6", "a5"), (7, "a7", "a6")] {
            let head = pushed("0xa", &block(number, hash, parent));
            assert_eq!(shown(&mut conversation, &head, FIRST), [head]);
        }
        conversation.lost(FIRST, None);
        moved(&mut conversation);
        conversation
    };
    let told = |hash: &[(u64, &str, &str)]| -> Vec<String> {
        let blocks = hash.iter();
        blocks
            .map(|&(number, hash, parent)| pushed("0xa", &block(number, hash, parent)))
            .collect()
    };

    // The newest block there has a number that was told, of another branch.
    let mut conversation = before();
    let newest = conversation.told(&bytes(&answer(3, &block(7, "b7", "b6"))), SECOND);
    assert_eq!(texts(newest.to_supplier), [asked(4, 6)]);
    let all = shown(&mut conversation, &answer(4, &block(6, "b6", "a5")), SECOND);
    assert_eq!(all, told(&[(6, "b6", "a5"), (7, "b7", "b6")]));

    // The next block is told first, and all that was told is of another branch: nothing older than the subscription is.
    let mut conversation = before();
    let next = conversation.told(&bytes(&pushed("0xb", &block(8, "b8", "b7"))), SECOND);
    assert_eq!(texts(next.to_supplier), [asked(4, 7)]);
    for (id, number, hash, parent) in [(4, 7, "b7", "b6"), (5, 6, "b6", "b5")] {
        let below = conversation.told(&bytes(&answer(id, &block(number, hash, parent))), SECOND);
        assert_eq!(texts(below.to_supplier), [asked(id + 1, number - 1)]);
    }
    let all = shown(&mut conversation, &answer(6, &block(5, "b5", "b4")), SECOND);
    let branch = [(5, "b5", "b4"), (6, "b6", "b5"), (7, "b7", "b6"), (8, "b8", "b7")];
    assert_eq!(all, told(&branch));

    // A node that is behind is on the same branch.
    let mut conversation = before();
    assert_eq!(
        shown(&mut conversation, &answer(3, &block(6, "a6", "a5")), SECOND),
        [""; 0]
    );
}

/// Found with viem and ethers over rollovers: the old socket told one more head, and the one after it came between the two.
#[test]
fn a_head_of_the_old_socket_does_not_hide_what_the_new_one_missed() {
    let mut conversation = following();
    shown(&mut conversation, &head("0xa", 1), FIRST);
    moved(&mut conversation);
    assert_eq!(shown(&mut conversation, &head("0xa", 2), FIRST), [head("0xa", 2)]);
    conversation.lost(FIRST, Some(SECOND));
    let latest = r#"{"jsonrpc":"2.0","id":"portico-3","result":{"number":"0x3","hash":"0xh3"}}"#;
    let told = shown(&mut conversation, latest, SECOND);
    assert_eq!(told, [pushed("0xa", r#"{"hash":"0xh3","number":"0x3"}"#)]);
}

/// Found likewise: a subscription that the old socket takes when the new one is open already was asked of nobody else, and ended with the old one.
#[test]
fn a_subscription_that_the_old_socket_takes_late_is_asked_of_the_new_one() {
    let mut conversation = Conversation::default();
    let request = subscribe(r#"["newHeads"]"#);
    ask(&mut conversation, &request, FIRST);
    assert!(conversation.opened(SECOND).is_empty());
    let told = conversation.told(&bytes(&subscribed("7", "0xa")), FIRST);
    assert_eq!(texts(told.to_client), [subscribed("7", "0xa")]);
    let asked = texts(told.to_supplier);
    assert!(asked[0].contains("eth_blockNumber"), "{asked:?}");
    assert_eq!(asked[1..], [request.replace(":7", ":\"portico-2\"")]);
    assert!(!conversation.is_done_with(FIRST));
    conversation.told(&bytes(&subscribed("\"portico-2\"", "0xb")), SECOND);
    assert!(conversation.is_done_with(FIRST));
    assert_eq!(
        shown(&mut conversation, &head("0xb", 5), SECOND),
        [head("0xa", 5)]
    );
}

#[test]
fn logs_that_were_missed_are_filled_in_once_and_in_order() {
    let mut conversation = following_logs();
    let first = log(7, "0xh7", 0, false);
    assert_eq!(
        shown(&mut conversation, &pushed("0xa", &first), FIRST),
        [pushed("0xa", &first)]
    );
    conversation.lost(FIRST, None);
    let asked = moved_logs(&mut conversation, 9);
    assert_eq!(
        asked,
        [
            r#"{"jsonrpc":"2.0","id":"portico-4","method":"eth_getLogs","params":[{"address":"0xc","fromBlock":"0x7","toBlock":"0x9"}]}"#
        ]
    );
    // What comes meanwhile waits.
    let (missed, newest) = (log(8, "0xh8", 0, false), log(10, "0xh10", 0, false));
    assert_eq!(shown(&mut conversation, &pushed("0xb", &newest), SECOND), [""; 0]);
    assert_eq!(shown(&mut conversation, &pushed("0xb", &missed), SECOND), [""; 0]);
    let answer = format!(r#"{{"jsonrpc":"2.0","id":"portico-4","result":[{first},{missed}]}}"#);
    let told = shown(&mut conversation, &answer, SECOND);
    assert_eq!(told, [pushed("0xa", &missed), pushed("0xa", &newest)]);
    let later = log(11, "0xh11", 0, false);
    assert_eq!(
        shown(&mut conversation, &pushed("0xb", &later), SECOND),
        [pushed("0xa", &later)]
    );
}

#[test]
fn logs_that_a_reorganization_undid_are_told_as_removed() {
    let mut conversation = following_logs();
    for block in [6, 7] {
        let log = log(block, &format!("0xold{block}"), 0, false);
        assert_eq!(shown(&mut conversation, &pushed("0xa", &log), FIRST).len(), 1);
    }
    conversation.lost(FIRST, None);
    let asked = moved_logs(&mut conversation, 8);
    assert!(
        asked[0].contains(r#""fromBlock":"0x6","toBlock":"0x8""#),
        "{asked:?}"
    );
    // On the new branch block 6 is the same, block 7 another.
    let answer = format!(
        r#"{{"jsonrpc":"2.0","id":"portico-4","result":[{},{}]}}"#,
        log(6, "0xold6", 0, false),
        log(7, "0xnew7", 0, false)
    );
    let told = shown(&mut conversation, &answer, SECOND);
    assert_eq!(
        told,
        [
            pushed("0xa", &log(7, "0xold7", 0, true)),
            pushed("0xa", &log(7, "0xnew7", 0, false))
        ]
    );
    // And back again: each is news each time.
    for (hash, removed) in [("0xnew7", true), ("0xold7", false), ("0xold7", true)] {
        let again = log(7, hash, 0, removed);
        assert_eq!(
            shown(&mut conversation, &pushed("0xb", &again), SECOND),
            [pushed("0xa", &again)]
        );
    }
}

#[test]
fn a_subscription_keeps_its_id_on_another_socket() {
    let mut conversation = following();
    begins_after(&mut conversation, 0);
    assert_eq!(shown(&mut conversation, &head("0xa", 1), FIRST), [head("0xa", 1)]);
    moved(&mut conversation);
    assert!(conversation.is_done_with(FIRST));
    // Both tell the next block: the client hears it once, under its id.
    assert_eq!(
        shown(&mut conversation, &head("0xb", 2), SECOND),
        [head("0xa", 2)]
    );
    assert_eq!(shown(&mut conversation, &head("0xa", 2), FIRST), [""; 0]);
    assert_eq!(conversation.lost(FIRST, Some(SECOND)), Told::default());
    assert_eq!(
        shown(&mut conversation, &head("0xb", 3), SECOND),
        [head("0xa", 3)]
    );
    // A block in the place of another is told.
    let other = pushed("0xb", r#"{"number":"0x3","hash":"0xother"}"#);
    assert_eq!(
        shown(&mut conversation, &other, SECOND),
        [other.replace("0xb", "0xa")]
    );

    let end = r#"{"id":9,"method":"eth_unsubscribe","params":["0xa"]}"#;
    let forwarded = conversation.heard(bytes(end), SECOND, 10);
    assert_eq!(forwarded, Heard::Forward(bytes(&end.replace("0xa", "0xb"))));
    assert_eq!(shown(&mut conversation, &head("0xb", 4), SECOND), [""; 0]);
    let answer = r#"{"jsonrpc":"2.0","id":9,"result":true}"#;
    assert_eq!(shown(&mut conversation, answer, SECOND), [answer]);
    assert!(conversation.opened(3).is_empty());
}

#[test]
fn blocks_that_were_missed_are_filled_in_by_number() {
    let mut conversation = following();
    shown(&mut conversation, &head("0xa", 1), FIRST);
    conversation.lost(FIRST, None);
    moved(&mut conversation);
    let told = conversation.told(&bytes(&head("0xb", 5)), SECOND);
    assert!(told.to_client.is_empty());
    let asked = texts(told.to_supplier);
    assert_eq!(asked.len(), 3);
    assert_eq!(
        asked[0],
        r#"{"jsonrpc":"2.0","id":"portico-4","method":"eth_getBlockByNumber","params":["0x2",false]}"#
    );
    // Meanwhile the chain goes on, and blocks come in any order.
    assert_eq!(shown(&mut conversation, &head("0xb", 6), SECOND), [""; 0]);
    let block = |id: u64, number: u64| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"portico-{id}","result":{{"number":"0x{number:x}","hash":"0xh{number}","transactions":["0x1"],"size":"0x1","uncles":[]}}}}"#
        )
    };
    assert_eq!(shown(&mut conversation, &block(6, 4), SECOND), [""; 0]);
    assert_eq!(shown(&mut conversation, &block(4, 2), SECOND), [""; 0]);
    let none = r#"{"jsonrpc":"2.0","id":"portico-5","result":null}"#;
    let all = shown(&mut conversation, none, SECOND);
    let gap = r#"{"jsonrpc":"2.0","method":"portico_gap","params":{"subscriptionId":"0xa","fromBlock":"0x3","toBlock":"0x3","reason":"the node does not have them"}}"#;
    let filled = |number: u64| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"0xa","result":{{"hash":"0xh{number}","number":"0x{number:x}"}}}}}}"#
        )
    };
    assert_eq!(
        all,
        [
            filled(2),
            gap.to_owned(),
            filled(4),
            head("0xa", 5),
            head("0xa", 6)
        ]
    );
    assert_eq!(
        shown(&mut conversation, &head("0xb", 7), SECOND),
        [head("0xa", 7)]
    );
    assert_eq!(
        shown(&mut conversation, &head("0xb", 9), SECOND),
        [head("0xa", 9)],
        "as its node tells it"
    );
}

#[test]
fn a_long_gap_is_told_but_for_its_newest_blocks() {
    let mut conversation = following();
    shown(&mut conversation, &head("0xa", 1), FIRST);
    conversation.lost(FIRST, None);
    moved(&mut conversation);
    let told = conversation.told(&bytes(&head("0xb", 1_002)), SECOND);
    assert_eq!(told.to_supplier.len() as u64, heads::MAX_FILL);
    let gap = texts(told.to_client).pop().unwrap();
    assert!(
        gap.contains(r#""fromBlock":"0x2""#) && gap.contains(r#""toBlock":"0x369""#),
        "{gap}"
    );
    // Nobody answers: when too many heads wait, all is told.
    let mut all = Vec::new();
    for number in 1_003.. {
        all = shown(&mut conversation, &head("0xb", number), SECOND);
        if !all.is_empty() {
            break;
        }
    }
    assert!(all[0].contains("portico_gap"), "{}", all[0]);
    assert_eq!(all.len(), MAX_HELD + 2);
}

#[test]
fn requests_that_a_lost_socket_did_not_answer_are_asked_again() {
    let mut conversation = Conversation::default();
    let call = r#"{"id":"\u0061","method":"eth_call","params":[]}"#;
    let batch = r#"[{"id":1,"method":"a"},{"id":2,"method":"b"}]"#;
    ask(&mut conversation, call, FIRST);
    ask(&mut conversation, batch, FIRST);
    assert!(!conversation.is_done_with(FIRST));
    assert_eq!(
        conversation.lost(FIRST, None),
        Told::default(),
        "there is no socket"
    );
    assert!(conversation.opened(SECOND).is_empty());
    let again = conversation.lost(FIRST, Some(SECOND));
    assert_eq!(texts(again.to_supplier), [call, batch]);
    let answer = r#"{"id":"\u0061","result":1}"#;
    assert_eq!(shown(&mut conversation, answer, SECOND), [answer]);
    assert_eq!(shown(&mut conversation, answer, SECOND), [""; 0], "once");
    assert_eq!(conversation.unanswered().count(), 2);
    let answers = r#"[{"id":2,"result":1},{"id":1,"result":1}]"#;
    assert_eq!(shown(&mut conversation, answers, SECOND), [answers]);
    assert!(conversation.is_done_with(SECOND));
}

/// A request that ends every socket is not asked of one socket after the other for ever, whatever subscriptions keep the client's own alive.
#[test]
fn a_request_that_every_socket_is_lost_over_is_given_up() {
    let mut conversation = Conversation::default();
    let call = r#"{"id":"x","method":"eth_call","params":[]}"#;
    ask(&mut conversation, call, 1);
    for link in 1..u64::from(MAX_TRIES) {
        conversation.opened(link + 1);
        let again = conversation.lost(link, Some(link + 1));
        assert_eq!(texts(again.to_supplier), [call]);
        assert!(again.given_up.is_empty());
    }
    let told = conversation.lost(MAX_TRIES.into(), Some(9));
    assert!(told.to_supplier.is_empty());
    assert_eq!(texts(told.given_up), [r#""x""#]);
    assert!(conversation.is_idle());
}

#[test]
fn what_is_not_to_be_asked_again_is_given_up_with_its_socket() {
    let mut conversation = following();
    ask(&mut conversation, r#"{"id":1,"method":"a"}"#, FIRST);
    ask(
        &mut conversation,
        r#"[{"id":2,"method":"b"},{"id":3,"method":"c"}]"#,
        FIRST,
    );
    assert_eq!(texts(conversation.give_up(FIRST)), ["1", "2", "3"]);
    assert!(!conversation.is_idle(), "the subscription goes on");
    conversation.opened(SECOND);
    assert!(conversation.lost(FIRST, Some(SECOND)).to_supplier.is_empty());
}

#[test]
fn two_nodes_may_give_the_same_id_to_two_subscriptions() {
    let mut conversation = following();
    moved(&mut conversation);
    conversation.lost(FIRST, Some(SECOND));
    ask(&mut conversation, &subscribe(r#"["logs",{}]"#), SECOND);
    let told = conversation.told(&bytes(&subscribed("7", "0xa")), SECOND);
    let answer = texts(told.to_client).pop().unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let known = answer["result"].as_str().unwrap();
    assert_ne!(known, "0xa", "the client has one of that name");
    let log = r#"{"blockHash":"0x1","logIndex":"0x0"}"#;
    assert_eq!(
        shown(&mut conversation, &pushed("0xa", log), SECOND),
        [pushed(known, log)]
    );
}

#[test]
fn what_cannot_be_filled_in_is_told() {
    let mut conversation = Conversation::default();
    ask(&mut conversation, &subscribe(r#"["logs",{}]"#), FIRST);
    conversation.told(&bytes(&subscribed("7", "0xa")), FIRST); // whose node does not tell its newest block
    let log = |subscription: &str, rest: &str| {
        pushed(
            subscription,
            &format!(r#"{{"blockHash":"0x1","logIndex":"0x0"{rest}}}"#),
        )
    };
    assert_eq!(shown(&mut conversation, &log("0xa", ""), FIRST).len(), 1);
    conversation.lost(FIRST, None);
    conversation.opened(SECOND);
    conversation.told(&bytes(&subscribed("\"portico-2\"", "0xb")), SECOND);
    let newest = r#"{"jsonrpc":"2.0","id":"portico-3","result":"0x9"}"#;
    let told = shown(&mut conversation, newest, SECOND);
    assert!(
        told[0].contains("portico_gap") && told[0].contains("another supplier took over"),
        "{told:?}"
    );
    // The same log, as another node writes it.
    assert_eq!(
        shown(&mut conversation, &log("0xb", r#","x":1"#), SECOND),
        [""; 0]
    );
    assert_eq!(
        shown(&mut conversation, &log("0xb", r#","removed":true"#), SECOND).len(),
        1
    );

    conversation.lost(SECOND, None);
    conversation.opened(3);
    let refused = r#"{"id":"portico-4","error":{"code":-32601,"message":"no"}}"#;
    let told = shown(&mut conversation, refused, 3);
    assert!(told[0].contains("portico_subscriptionEnded"), "{told:?}");
    assert!(conversation.opened(4).is_empty());
}

#[test]
fn messages_of_comet_bft_have_the_id_of_their_request() {
    let mut conversation = Conversation::default();
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"query":"tm.event='NewBlock'"}}"#;
    let taken = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let event = |n: u32| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"data":{n}}}}}"#);
    ask(&mut conversation, request, FIRST);
    assert_eq!(shown(&mut conversation, taken, FIRST), [taken]);
    assert_eq!(shown(&mut conversation, &event(1), FIRST), [event(1)]);
    assert_eq!(texts(conversation.opened(SECOND)), [request]);
    // The old node still tells, before the new one has taken it.
    assert_eq!(shown(&mut conversation, &event(2), FIRST), [event(2)]);
    let told = conversation.told(&bytes(taken), SECOND);
    let ends = request
        .replace("\"id\":1", r#""id":"portico-1""#)
        .replace("subscribe", "unsubscribe");
    assert_eq!(
        (texts(told.to_client), texts(told.to_old)),
        (Vec::new(), vec![ends])
    );
    assert_eq!(shown(&mut conversation, &event(3), FIRST), [event(3)]);
    assert_eq!(shown(&mut conversation, &event(3), SECOND), [""; 0]);
    let ended = r#"{"jsonrpc":"2.0","id":"portico-1","result":{}}"#;
    assert_eq!(shown(&mut conversation, ended, FIRST), [""; 0]);
    assert!(conversation.is_done_with(FIRST));
    conversation.lost(FIRST, Some(SECOND));
    assert_eq!(shown(&mut conversation, &event(4), SECOND), [event(4)]);
    ask(
        &mut conversation,
        &request.replace("subscribe", "unsubscribe"),
        SECOND,
    );
    assert!(conversation.opened(3).is_empty());
}

/// Clients of `CometBFT` give up a socket at a message without an id: what they are told has one, which is that of no request where it is no end.
#[test]
fn comet_bft_subscriptions_are_told_of_gaps_and_ends_in_messages_with_an_id() {
    for (id, of_gap) in [("1", r#""1#portico_gap""#), (r#""a""#, r#""a#portico_gap""#)] {
        let request = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"subscribe","params":["q"]}}"#);
        let taken = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
        let mut conversation = Conversation::default();
        ask(&mut conversation, &request, FIRST);
        assert_eq!(shown(&mut conversation, &taken, FIRST), [taken.as_str()]);
        conversation.lost(FIRST, None);
        assert_eq!(texts(conversation.opened(SECOND)), [request.as_str()]);
        let gap = format!(
            r#"{{"jsonrpc":"2.0","id":{of_gap},"result":{{"reason":"another supplier took over"}}}}"#
        );
        assert_eq!(shown(&mut conversation, &taken, SECOND), [gap]);

        conversation.lost(SECOND, None);
        conversation.opened(3);
        let refused = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32603}}}}"#);
        let end = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":"Server error","data":"subscription was canceled (reason: {{\"code\":-32603}})"}}}}"#
        );
        assert_eq!(shown(&mut conversation, &refused, 3), [end]);
        assert!(conversation.opened(4).is_empty());
    }
}

#[test]
fn requests_and_subscriptions_are_bounded() {
    let mut conversation = Conversation::default();
    for n in 0..MAX_SUBSCRIPTIONS {
        let request = subscribe("[]").replace(":7", &format!(":{n}"));
        ask(&mut conversation, &request, FIRST);
        if n % 2 == 0 {
            shown(
                &mut conversation,
                &subscribed(&n.to_string(), &format!("0x{n}")),
                FIRST,
            );
        }
    }
    let more = conversation.heard(bytes(&subscribe("[]")), FIRST, 10);
    assert_eq!(more, Heard::TooMany("7".into()));
    for n in MAX_SUBSCRIPTIONS / 2..MAX_PENDING {
        ask(
            &mut conversation,
            &format!(r#"{{"id":"c{n}","method":"m"}}"#),
            FIRST,
        );
    }
    let more = conversation.heard(bytes(r#"{"id":5,"method":"m"}"#), FIRST, 10);
    assert_eq!(more, Heard::TooMany("5".into()));
}

#[test]
fn what_is_no_json_rpc_passes_and_nothing_is_kept_of_it() {
    let mut conversation = Conversation::default();
    ask(&mut conversation, r#"{"method":"note"}"#, FIRST);
    assert!(conversation.can_go_on());
    for other in ["\u{0}binary", "[]", "7"] {
        ask(&mut conversation, other, FIRST);
        assert_eq!(shown(&mut conversation, other, FIRST), [other]);
    }
    assert!(!conversation.can_go_on() && conversation.is_done_with(FIRST));
}
