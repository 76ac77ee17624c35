//! What a caller says about who is to relay its call: it narrows what the gateway would choose from, and adds nobody.

use std::collections::BTreeSet;

use portico_protocol::Address;
use portico_session_cache::SupplierView;

/// A caller's wishes; the default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The application whose stake pays.
    pub(crate) application: Option<Address>,
    /// The only suppliers to try.
    pub(crate) suppliers: Option<BTreeSet<Address>>,
    /// Suppliers not to try.
    pub(crate) no_suppliers: BTreeSet<Address>,
    /// The only hosts of suppliers to try, in lower case; a name covers those below it.
    pub(crate) hosts: Option<BTreeSet<String>>,
    /// Hosts of suppliers not to try.
    pub(crate) no_hosts: BTreeSet<String>,
}

impl Choice {
    /// Whether the supplier whose endpoint is at `url` may be tried.
    pub(crate) fn takes(&self, supplier: &SupplierView, url: &str) -> bool {
        let operator = &supplier.operator;
        if self.no_suppliers.contains(operator) {
            return false;
        }
        if self
            .suppliers
            .as_ref()
            .is_some_and(|only| !only.contains(operator))
        {
            return false;
        }
        if self.hosts.is_none() && self.no_hosts.is_empty() {
            return true;
        }
        let host = host(url);
        let is_in = |hosts: &BTreeSet<String>| hosts.iter().any(|named| covers(named, &host));
        !is_in(&self.no_hosts) && self.hosts.as_ref().is_none_or(is_in)
    }
}

/// Whether `host` is `named`, or below it.
fn covers(named: &str, host: &str) -> bool {
    let above = host.strip_suffix(named);
    above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

/// The host of a URL, in lower case; empty when it has none.
fn host(url: &str) -> String {
    let url: Option<http::Uri> = url.parse().ok();
    let host = url.as_ref().and_then(http::Uri::host);
    host.unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use portico_protocol::SigningKey;

    use super::*;

    fn supplier(number: u8) -> SupplierView {
        let key = SigningKey::from_bytes(&[number; 32]).unwrap();
        SupplierView {
            operator: key.address(),
            operator_text: key.address().to_string(),
            public_key: key.public_key(),
            endpoints: Vec::new(),
        }
    }

    #[test]
    fn narrows_by_supplier_and_by_host() {
        let (one, other) = (supplier(1), supplier(2));
        let takes = |choice: &Choice, url| [&one, &other].map(|supplier| choice.takes(supplier, url));
        let url = "https://Relay.One.example:443/x";
        assert_eq!(takes(&Choice::default(), url), [true, true]);
        let only = Choice {
            suppliers: Some([one.operator].into()),
            ..Choice::default()
        };
        assert_eq!(takes(&only, url), [true, false]);
        let not = Choice {
            no_suppliers: [one.operator].into(),
            ..only.clone()
        };
        assert_eq!(takes(&not, url), [false, false]);
        for (named, covered) in [
            ("one.example", true),
            ("relay.one.example", true),
            ("e.example", false),
            ("x.relay.one.example", false),
        ] {
            let hosts: BTreeSet<String> = [named.to_owned()].into();
            let only = Choice {
                hosts: Some(hosts.clone()),
                ..Choice::default()
            };
            assert_eq!(takes(&only, url), [covered; 2], "{named}");
            let not = Choice {
                no_hosts: hosts,
                ..Choice::default()
            };
            assert_eq!(takes(&not, url), [!covered; 2], "not {named}");
        }
    }
}
