//! Failed handshakes in plain words: which of the certificate's properties is wrong, and what to do.

use std::error::Error;

use rustls::{AlertDescription, CertificateError};

/// Says what is wrong when TLS is somewhere among the causes of `error`; `None` otherwise.
#[must_use]
pub fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(words(error));
        }
        // An I/O error hides the error that it was made of behind that one's own cause.
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(certificate) => of_certificate(certificate),
        rustls::Error::AlertReceived(alert) => of_alert(*alert),
        rustls::Error::InvalidMessage(_) => "the other end does not speak TLS".to_owned(),
        other => format!("TLS failed: {other}"),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "the server's certificate has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / 86_400;
            format!("the server's certificate has expired {days} days ago")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; compare the clocks of both machines".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = match presented.is_empty() {
                true => "no name at all".to_owned(),
                false => presented.join(", "),
            };
            format!("the server's certificate is not for {}, but for {names}", expected.to_str())
        }
        CertificateError::NotValidForName => "the server's certificate is for another name".to_owned(),
        CertificateError::UnknownIssuer => {
            "the server's certificate is signed by nobody who is trusted; if it is right, add its authority as ca_file".to_owned()
        }
        CertificateError::BadSignature => "the server's certificate is not signed by its authority".to_owned(),
        CertificateError::Revoked => "the server's certificate is revoked".to_owned(),
        other => format!("the server's certificate cannot be trusted: {other}"),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the server wants a client certificate: set client_cert_file and client_key_file".to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError => "the server does not trust our client certificate".to_owned(),
        AlertDescription::CertificateExpired => "our client certificate has expired".to_owned(),
        other => format!("the server ended the TLS handshake: {other:?}"),
    }
}
