//! What a supplier's refusal means for the gateway, whichever program and transport it came by.

use crate::refusal::Reason;

/// The kinds of refusal that call for different reactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The supplier serves no more relays of this application in this session: its stake is used up there.
    OverServiced,
    /// The supplier sees another session than the gateway: its chain is a block ahead or behind.
    Session,
    /// The backend's answer is larger than the supplier takes; another supplier's backend gives the same one.
    ResponseTooLarge,
    /// Anything else.
    Other,
}

impl RefusalKind {
    /// Sorts the error of a reference relay miner (`poktroll:pkg/relayer/proxy/errors.go`, `pkg/relayer/relay_authenticator`).
    #[must_use]
    pub fn of_miner_error(codespace: &str, code: u32) -> Self {
        match (codespace, code) {
            ("relayer_proxy", 7) => Self::OverServiced,
            ("relayer_proxy", 1 | 6) | ("relay_authenticator", 1) => Self::Session,
            ("relayer_proxy", 12) => Self::ResponseTooLarge,
            _ => Self::Other,
        }
    }

    /// Sorts an HTTP refusal, the form of the HA miner and of our servicer, by its status and the text of its `error`.
    #[must_use]
    pub fn of_http(status: u16, text: &str) -> Self {
        let too_large = Reason::ResponseTooLarge.row();
        match status {
            429 => Self::OverServiced,
            403 => Self::Session,
            _ if status == too_large.http && text.starts_with(too_large.text) => Self::ResponseTooLarge,
            _ => Self::Other,
        }
    }

    /// Sorts the close of a WebSocket: by its code, and by its text where several reasons have that code.
    #[must_use]
    pub fn of_close(code: Option<u16>, text: &str) -> Self {
        let too_large = Reason::ResponseTooLarge.row();
        match code {
            Some(4002) => Self::OverServiced,
            Some(4000 | 4001) => Self::Session,
            Some(code) if code == too_large.websocket && text.starts_with(too_large.text) => {
                Self::ResponseTooLarge
            }
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_miners_refusals_are_sorted_alike() {
        let exhausted = [
            RefusalKind::of_miner_error("relayer_proxy", 7),
            RefusalKind::of_http(429, ""),
        ];
        assert_eq!(exhausted, [RefusalKind::OverServiced; 2]);
        let session = [
            RefusalKind::of_miner_error("relayer_proxy", 1),
            RefusalKind::of_miner_error("relayer_proxy", 6),
            RefusalKind::of_miner_error("relay_authenticator", 1),
            RefusalKind::of_http(403, ""),
        ];
        assert_eq!(session, [RefusalKind::Session; 4]);
        let too_large = RefusalKind::of_miner_error("relayer_proxy", 12);
        assert_eq!(too_large, RefusalKind::ResponseTooLarge);
        let other = [
            RefusalKind::of_miner_error("relay_authenticator", 7),
            RefusalKind::of_miner_error("service", 1),
            RefusalKind::of_http(502, ""),
        ];
        assert_eq!(other, [RefusalKind::Other; 3]);
    }

    #[test]
    fn our_own_refusals_are_sorted() {
        for reason in Reason::ALL {
            let kind = RefusalKind::of_http(reason.row().http, reason.row().text);
            let expected = match reason {
                Reason::OverServiced => RefusalKind::OverServiced,
                Reason::Invalid
                | Reason::SessionNotActive
                | Reason::SessionUnknown
                | Reason::SessionHeader
                | Reason::SupplierNotInSession
                | Reason::SupplierStopped
                | Reason::Signature
                | Reason::Sealed => RefusalKind::Session,
                Reason::ResponseTooLarge => RefusalKind::ResponseTooLarge,
                _ => RefusalKind::Other,
            };
            assert_eq!(kind, expected, "{reason:?}");
        }
    }

    #[test]
    fn closes_are_sorted_as_refusals_are() {
        for reason in Reason::ALL {
            let row = reason.row();
            let of_close = RefusalKind::of_close(Some(row.websocket), row.close_reason());
            match reason {
                Reason::OverServiced => assert_eq!(of_close, RefusalKind::OverServiced),
                Reason::ResponseTooLarge => assert_eq!(of_close, RefusalKind::ResponseTooLarge),
                _ if matches!(row.websocket, 4000 | 4001) => assert_eq!(of_close, RefusalKind::Session),
                _ => assert_eq!(of_close, RefusalKind::Other, "{reason:?}"),
            }
        }
        assert_eq!(RefusalKind::of_close(None, ""), RefusalKind::Other);
    }
}
