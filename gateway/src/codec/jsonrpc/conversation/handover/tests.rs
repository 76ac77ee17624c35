use super::super::Heard;
use super::super::tests::{FIRST, SECOND, ask, bytes, shown, texts};
use super::*;

fn notification(subscription: u32, lamports: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"accountNotification","params":{{"result":{lamports},"subscription":{subscription}}}}}"#
    )
}

/// A subscription of Solana's that the first socket knows as 5, while the second has taken it as 9 and the first is asked to end it.
fn moving() -> Conversation {
    let mut conversation = Conversation::default();
    let request = r#"{"jsonrpc":"2.0","id":7,"method":"accountSubscribe","params":["a"]}"#;
    ask(&mut conversation, request, FIRST);
    let taken = r#"{"jsonrpc":"2.0","id":7,"result":5}"#;
    assert_eq!(shown(&mut conversation, taken, FIRST), [taken]);
    conversation.opened(SECOND);
    let told = conversation.told(&bytes(r#"{"jsonrpc":"2.0","id":"portico-1","result":9}"#), SECOND);
    let ends = r#"{"jsonrpc":"2.0","id":"portico-2","method":"accountUnsubscribe","params":[5]}"#;
    assert_eq!(texts(told.to_old), [ends]);
    assert!(told.to_client.is_empty() && !conversation.is_done_with(FIRST));
    conversation
}

const ENDED: &str = r#"{"jsonrpc":"2.0","id":"portico-2","result":true}"#;
const GAP: &str = r#"{"jsonrpc":"2.0","method":"portico_gap","params":{"subscriptionId":5,"fromBlock":null,"toBlock":null,"reason":"another supplier took over"}}"#;

/// What was on its way from the old node when the new one took the subscription is neither lost nor behind what is newer.
#[test]
fn what_the_old_socket_still_has_comes_first() {
    let mut conversation = moving();
    assert_eq!(shown(&mut conversation, &notification(9, 2), SECOND), [""; 0]);
    assert_eq!(
        shown(&mut conversation, &notification(5, 1), FIRST),
        [notification(5, 1)]
    );
    assert_eq!(shown(&mut conversation, &notification(9, 3), SECOND), [""; 0]);
    assert_eq!(
        shown(&mut conversation, &notification(5, 2), FIRST),
        [notification(5, 2)]
    );
    assert_eq!(shown(&mut conversation, ENDED, FIRST), [notification(5, 3)]);
    assert!(conversation.is_done_with(FIRST));
    assert_eq!(
        shown(&mut conversation, &notification(9, 4), SECOND),
        [notification(5, 4)]
    );
}

#[test]
fn an_old_socket_that_is_gone_before_it_has_said_so_is_a_gap() {
    let mut conversation = moving();
    shown(&mut conversation, &notification(9, 2), SECOND);
    let told = conversation.lost(FIRST, Some(SECOND));
    assert_eq!(texts(told.to_client), [GAP.to_owned(), notification(5, 2)]);
    assert_eq!(
        shown(&mut conversation, &notification(9, 3), SECOND),
        [notification(5, 3)]
    );
}

#[test]
fn a_new_socket_that_is_gone_before_the_old_one_has_ended_is_a_gap() {
    let mut conversation = moving();
    shown(&mut conversation, &notification(9, 2), SECOND);
    assert_eq!(conversation.lost(SECOND, None), Told::default());
    assert_eq!(shown(&mut conversation, ENDED, FIRST), [""; 0]);
    conversation.opened(3);
    let taken = r#"{"jsonrpc":"2.0","id":"portico-3","result":1}"#;
    assert_eq!(shown(&mut conversation, taken, 3), [GAP]);
    assert_eq!(
        shown(&mut conversation, &notification(1, 3), 3),
        [notification(5, 3)]
    );
}

#[test]
fn what_waits_is_bounded() {
    let mut conversation = moving();
    let most = u32::try_from(MAX_WAITING).unwrap();
    for lamports in 0..most {
        assert_eq!(
            shown(&mut conversation, &notification(9, lamports), SECOND),
            [""; 0]
        );
    }
    let told = shown(&mut conversation, &notification(9, most), SECOND);
    assert_eq!(told.len(), MAX_WAITING + 2);
    assert!(told[0].contains("portico_gap"));
    assert_eq!(shown(&mut conversation, &notification(5, 0), FIRST), [""; 0]);
}

#[test]
fn what_its_client_ends_meanwhile_is_ended() {
    let mut conversation = moving();
    let ends = r#"{"jsonrpc":"2.0","id":8,"method":"accountUnsubscribe","params":[5]}"#;
    let asked = Heard::Forward(bytes(&ends.replace("[5]", "[9]")));
    assert_eq!(conversation.heard(bytes(ends), SECOND, 10), asked);
    assert_eq!(shown(&mut conversation, ENDED, FIRST), [""; 0]);
}

#[test]
fn subscriptions_are_ended_by_the_name_that_began_them() {
    let ending = |method: &str| {
        let request = format!(r#"{{"id":1,"method":"{method}","params":["q"]}}"#);
        ending(&bytes(&request), &bytes("7"))
    };
    let of = |method: &str, params: &str| Some((method.to_owned(), params.to_owned()));
    assert_eq!(ending("eth_subscribe"), of("eth_unsubscribe", "[7]"));
    assert_eq!(ending("slotSubscribe"), of("slotUnsubscribe", "[7]"));
    assert_eq!(ending("subscribe"), of("unsubscribe", r#"["q"]"#));
    assert_eq!(ending("subscribe_to"), None);
    assert_eq!(ending("x-subscribe"), None);
}
