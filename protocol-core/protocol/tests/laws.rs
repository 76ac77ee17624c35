//! What holds of any input: selection, averages, amounts and encodings.

use std::collections::BTreeMap;

use bytes::Bytes;
use num_bigint::BigUint;
use portico_protocol::Upokt;
use portico_protocol::claim::claim_amount;
use portico_protocol::difficulty::{next_ema, scale_target};
use portico_protocol::http_payload::{
    decode_http_request, decode_http_response, encode_http_request, encode_http_response,
};
use portico_protocol::session::select_suppliers;
use portico_protocol::settlement::{Fraction, Shares, by_weight, shareholders, split};
use portico_protocol::wire::pocket::proof::{Claim, MsgCreateClaim, MsgSubmitProof, Proof};
use portico_protocol::wire::pocket::service::{
    Relay, RelayRequest, RelayRequestMetadata, RelayResponse, RelayResponseMetadata,
};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::pocket::shared::ServiceRevenueShare;
use proptest::prelude::*;
use prost::Message;

/// Numbers of all sizes, the greatest and smallest often.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(1 << 63),
        any::<u64>(),
        0..10_000_u64,
        (0..64_u32).prop_map(|bit| 1 << bit)
    ]
}

fn amount() -> impl Strategy<Value = u128> {
    prop_oneof![
        Just(0),
        Just(u128::MAX),
        any::<u128>(),
        0..1_u128 << 70,
        (0..128_u32).prop_map(|bit| 1 << bit)
    ]
}

fn header() -> impl Strategy<Value = SessionHeader> {
    (
        "[a-z0-9]{0,50}",
        "\\PC{0,10}",
        "[0-9a-f]{0,64}",
        any::<i64>(),
        any::<i64>(),
    )
        .prop_map(
            |(application_address, service_id, session_id, start, end)| SessionHeader {
                application_address,
                service_id,
                session_id,
                session_start_block_height: start,
                session_end_block_height: end,
            },
        )
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

fn relay() -> impl Strategy<Value = Relay> {
    (
        prop::option::of(header()),
        bytes(80),
        "[a-z0-9]{0,50}",
        bytes(300),
        bytes(300),
        prop::option::of(bytes(33)),
    )
        .prop_map(
            |(session_header, signature, supplier_operator_address, payload, answer, hash)| Relay {
                req: Some(RelayRequest {
                    meta: Some(RelayRequestMetadata {
                        session_header: session_header.clone(),
                        signature: signature.clone(),
                        supplier_operator_address,
                    }),
                    payload: payload.into(),
                }),
                res: Some(RelayResponse {
                    meta: Some(RelayResponseMetadata {
                        session_header,
                        supplier_operator_signature: signature,
                    }),
                    payload: answer.into(),
                    payload_hash: hash.unwrap_or_default(),
                    ..Default::default()
                }),
            },
        )
}

/// Encoding and decoding gives the same message, and its encoding again the same bytes.
fn survives<M: Message + Default + PartialEq + std::fmt::Debug>(message: &M) -> Result<(), TestCaseError> {
    let encoded = message.encode_to_vec();
    let decoded = M::decode(encoded.as_slice()).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&decoded, message);
    prop_assert_eq!(decoded.encode_to_vec(), encoded);
    Ok(())
}

proptest! {
    #[test]
    fn a_session_draws_the_same_suppliers_whatever_the_order_of_candidates(
        preimage in bytes(80),
        candidates in prop::collection::btree_set("[a-z0-9]{1,20}", 0..40),
        wanted in 0..30_u64,
        order in any::<prop::sample::Index>(),
    ) {
        let sorted: Vec<String> = candidates.into_iter().collect();
        let mut turned = sorted.clone();
        if !turned.is_empty() {
            let middle = order.index(turned.len());
            turned.rotate_left(middle);
            turned[middle..].reverse();
        }
        let (mut ours, mut theirs) = (select_suppliers(&preimage, &sorted, wanted), select_suppliers(&preimage, &turned, wanted));
        if (sorted.len() as u64) < wanted {
            // All of them sit in the session, in the order of the index.
            prop_assert_eq!(&ours, &sorted);
            ours.sort();
            theirs.sort();
        }
        prop_assert_eq!(ours.len(), sorted.len().min(usize::try_from(wanted).unwrap()));
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn an_average_stays_between_the_last_one_and_the_new_number(prev in number(), new in number()) {
        let next = u128::from(next_ema(prev, new));
        let (least, most) = (u128::from(prev.min(new)), u128::from(prev.max(new)));
        prop_assert!(next <= most + 1 && least <= next + 1, "{} of {} and {}", next, prev, new);
        // Nine parts and one; the network's tenth is a hair above, and the end is cut.
        let tenfold = 9 * u128::from(prev) + u128::from(new);
        prop_assert!(tenfold.abs_diff(10 * next) <= 20 + (most >> 50), "{} of {} and {}", next, prev, new);
    }

    #[test]
    fn a_target_is_the_exact_quotient_up_to_the_easiest(previous in any::<[u8; 32]>(), goal in 0..=i64::MAX as u64, ema in 0..=i64::MAX as u64) {
        let Some(target) = scale_target(&previous, goal, ema) else {
            prop_assert_eq!(ema, 0);
            return Ok(());
        };
        let exact = BigUint::from_bytes_be(&previous) * goal / ema;
        let easiest = BigUint::from_bytes_be(&[0xff; 32]);
        prop_assert_eq!(BigUint::from_bytes_be(&target), exact.min(easiest));
    }

    #[test]
    fn a_claim_is_worth_the_exact_amount_or_nothing_at_all(
        sum in number(), count in number(), multiplier in number(), granularity in number(), target in any::<[u8; 32]>(), zeros in 0..32_usize,
    ) {
        let target = [&vec![0; zeros], &target[zeros..]].concat();
        let root = [vec![7; 32], sum.to_be_bytes().to_vec(), count.to_be_bytes().to_vec()].concat();
        let divisor = BigUint::from_bytes_be(&target) * granularity;
        let ours = claim_amount(&root, &target, multiplier, granularity);
        if divisor == BigUint::ZERO || (count == 0 && sum > 0) {
            prop_assert!(ours.is_err());
            return Ok(());
        }
        let exact = BigUint::from(sum) * BigUint::from_bytes_be(&[0xff; 32]) * multiplier / divisor;
        match u128::try_from(exact) {
            Ok(exact) => prop_assert_eq!(ours.map(|ours| ours.claimed), Ok(Upokt(exact))),
            Err(_) => prop_assert!(ours.is_err(), "beyond 2^128"),
        }
    }

    #[test]
    fn fractions_of_amounts_are_exact_or_refused(total in amount(), whole in 0..5_u64, decimals in 0..=999_999_999_u64) {
        let fraction = Fraction::of_decimal(&format!("{whole}.{decimals:09}")).expect("a decimal");
        let (numerator, denominator) = (BigUint::from(whole) * 1_000_000_000_u64 + decimals, BigUint::from(1_000_000_000_u64));
        let product = BigUint::from(total) * &numerator;
        let exact = |quotient: BigUint| u128::try_from(quotient).map(Upokt).ok();
        let in_range = product.bits() <= 128;
        prop_assert_eq!(fraction.floor_of(Upokt(total)).ok(), exact(&product / &denominator).filter(|_| in_range));
        let up = (&product + &denominator - 1_u32) / &denominator;
        prop_assert_eq!(fraction.ceil_of(Upokt(total)).ok(), exact(up).filter(|_| in_range));
        let scaled = BigUint::from(total) * &denominator;
        let in_range = scaled.bits() <= 128;
        prop_assert_eq!(fraction.floor_without(Upokt(total)).ok(), exact(scaled / (&denominator + &numerator)).filter(|_| in_range));
    }

    #[test]
    fn a_mint_is_given_away_to_the_last_upokt_or_not_at_all(
        total in amount(),
        weights in prop::collection::btree_map("[a-z]{3}", amount(), 0..12),
        percentages in prop::collection::vec(number(), 0..4),
        supplier in 0..=100_u32, proposer in 0..=100_u32,
    ) {
        if let Ok(parts) = by_weight(Upokt(total), &weights) {
            let given: BigUint = parts.values().map(|part| BigUint::from(part.0)).sum();
            prop_assert!(given == BigUint::from(total) || weights.values().all(|weight| *weight == 0));
        }
        let shares = Shares { supplier: f64::from(supplier) / 100.0, proposer: f64::from(proposer) / 100.0, source_owner: 0.0, application: 0.0 };
        match split(Upokt(total), &shares) {
            Ok(parts) => {
                let given = [parts.supplier, parts.proposer, parts.source_owner, parts.application, parts.dao];
                let given: BigUint = given.iter().map(|part| BigUint::from(part.0)).sum();
                prop_assert_eq!(given, BigUint::from(total));
            }
            Err(_) => prop_assert!(supplier + proposer > 100 || total > u128::MAX / 100),
        }
        // The last one takes what is left of a hundred, where the others leave something.
        let before: u64 = percentages.iter().fold(0, |sum, percentage| sum.saturating_add(*percentage));
        let shares: Vec<ServiceRevenueShare> = percentages.iter().copied().chain(100_u64.checked_sub(before)).zip(0..)
            .map(|(rev_share_percentage, index): (u64, u32)| ServiceRevenueShare { address: index.to_string(), rev_share_percentage })
            .collect();
        match shareholders(Upokt(total), &shares) {
            Ok(parts) => {
                let given: BigUint = parts.iter().map(|(_, part)| BigUint::from(part.0)).sum();
                prop_assert_eq!(given, BigUint::from(total));
            }
            Err(_) => prop_assert!(before > 100 || total > u128::MAX / 100),
        }
    }

    #[test]
    fn http_messages_come_out_as_they_went_in(
        method in "[A-Z]{1,8}", url in "\\PC{0,40}", status in any::<u16>(), body in bytes(300),
        headers in prop::collection::btree_map("[A-Z][a-z]{0,10}", "\\PC{0,20}", 0..5),
    ) {
        let body = Bytes::from(body);
        let request = decode_http_request(&encode_http_request(&method, &url, headers.clone(), body.clone())).unwrap();
        prop_assert_eq!((&request.method, &request.url, &request.body_bz), (&method, &url, &body));
        let sent: BTreeMap<String, Vec<String>> = request.header.iter().map(|(name, header)| (name.clone(), header.values.clone())).collect();
        let wanted: BTreeMap<String, Vec<String>> = headers.iter().map(|(name, value)| (name.clone(), vec![value.clone()])).collect();
        prop_assert_eq!(sent, wanted);
        survives(&request)?;
        let response = decode_http_response(&encode_http_response(status, headers, body.clone())).unwrap();
        prop_assert_eq!((response.status_code, &response.body_bz), (u32::from(status), &body));
        survives(&response)?;
    }

    #[test]
    fn messages_of_the_relay_path_survive_the_wire(relay in relay(), weights in header(), root in bytes(60), proof in bytes(200)) {
        survives(&relay)?;
        survives(relay.req.as_ref().unwrap())?;
        survives(relay.res.as_ref().unwrap())?;
        let supplier_operator_address = weights.application_address.clone();
        let session_header = Some(weights);
        survives(&MsgCreateClaim { supplier_operator_address: supplier_operator_address.clone(), session_header: session_header.clone(), root_hash: root.clone() })?;
        survives(&MsgSubmitProof { supplier_operator_address: supplier_operator_address.clone(), session_header: session_header.clone(), proof: proof.clone() })?;
        survives(&Claim { supplier_operator_address: supplier_operator_address.clone(), session_header: session_header.clone(), root_hash: root, ..Default::default() })?;
        survives(&Proof { supplier_operator_address, session_header, closest_merkle_proof: proof })?;
    }
}
