//! What a caller's headers say about who is to relay its call: those of PATH, and those of pocket-ap.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use portico_protocol::Address;

use crate::core::choice::Choice;
use crate::front::error::CallError;

/// The application whose stake is to pay (PATH).
const APPLICATION: HeaderName = HeaderName::from_static("app-address");
/// The only suppliers to try, separated by commas (PATH).
const TARGET_SUPPLIERS: HeaderName = HeaderName::from_static("target-suppliers");
/// The same, and its opposite (pocket-ap).
const ALLOW_SUPPLIERS: HeaderName = HeaderName::from_static("x-pocket-allow-suppliers");
const DENY_SUPPLIERS: HeaderName = HeaderName::from_static("x-pocket-deny-suppliers");
/// Hosts of suppliers (pocket-ap).
const ALLOW_HOSTS: HeaderName = HeaderName::from_static("x-pocket-allow-hosts");
const DENY_HOSTS: HeaderName = HeaderName::from_static("x-pocket-deny-hosts");
/// Values of one header that are read; more are refused.
const MAX_VALUES: usize = 256;

/// What the caller wants; nothing if it says nothing.
pub(super) fn wishes(headers: &HeaderMap) -> Result<Option<Arc<Choice>>, CallError> {
    let suppliers = match (
        list(headers, &TARGET_SUPPLIERS)?,
        list(headers, &ALLOW_SUPPLIERS)?,
    ) {
        (Some(one), Some(other)) => Some(one.intersection(&other).copied().collect()),
        (one, other) => one.or(other),
    };
    let applications: Option<BTreeSet<Address>> = list(headers, &APPLICATION)?;
    let mut applications = applications.into_iter().flatten();
    let choice = Choice {
        application: applications.next(),
        suppliers,
        no_suppliers: list(headers, &DENY_SUPPLIERS)?.unwrap_or_default(),
        hosts: list(headers, &ALLOW_HOSTS)?.map(in_lower_case),
        no_hosts: list(headers, &DENY_HOSTS)?.map(in_lower_case).unwrap_or_default(),
    };
    if applications.next().is_some() {
        return Err(CallError::Header(APPLICATION));
    }
    Ok((choice != Choice::default()).then(|| Arc::new(choice)))
}

/// The values of a header, separated by commas; `None` without it or with an empty one.
fn list<T: FromStr + Ord>(headers: &HeaderMap, name: &HeaderName) -> Result<Option<BTreeSet<T>>, CallError> {
    let mut values = BTreeSet::new();
    for header in headers.get_all(name) {
        let malformed = || CallError::Header(name.clone());
        let header = header.to_str().map_err(|_| malformed())?;
        for value in header.split(',').map(str::trim).filter(|value| !value.is_empty()) {
            values.insert(value.parse().map_err(|_| malformed())?);
            if values.len() > MAX_VALUES {
                return Err(malformed());
            }
        }
    }
    Ok((!values.is_empty()).then_some(values))
}

fn in_lower_case(hosts: BTreeSet<String>) -> BTreeSet<String> {
    hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use portico_protocol::SigningKey;

    use super::*;

    fn wished(fields: &[(&'static str, String)]) -> Result<Option<Arc<Choice>>, CallError> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        wishes(&headers)
    }

    #[test]
    fn reads_the_headers_of_path_and_of_pocket_ap() {
        let [one, two] = [1, 2].map(|number| SigningKey::from_bytes(&[number; 32]).unwrap().address());
        assert_eq!(wished(&[]).unwrap(), None);
        assert_eq!(wished(&[("target-suppliers", " , ".into())]).unwrap(), None);
        let wished_for = wished(&[
            ("App-Address", one.to_string()),
            ("Target-Suppliers", format!("{one}, {two}")),
            ("X-Pocket-Allow-Suppliers", two.to_string()),
            ("X-Pocket-Deny-Suppliers", one.to_string()),
            ("X-Pocket-Allow-Hosts", "One.example,two.example".into()),
            ("X-Pocket-Deny-Hosts", "three.example".into()),
        ]);
        let choice = Choice {
            application: Some(one),
            suppliers: Some([two].into()),
            no_suppliers: [one].into(),
            hosts: Some(["one.example".to_owned(), "two.example".to_owned()].into()),
            no_hosts: ["three.example".to_owned()].into(),
        };
        assert_eq!(wished_for.unwrap().as_deref(), Some(&choice));
        for (name, value) in [
            ("app-address", "pokt1nobody".to_owned()),
            ("app-address", format!("{one},{two}")),
            ("target-suppliers", "everyone".to_owned()),
        ] {
            let error = wished(&[(name, value)]).unwrap_err();
            assert_eq!(error.row().reason, "invalid_request", "{name}");
        }
    }
}
