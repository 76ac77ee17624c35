//! The limit of open files: every connection is one.

/// Files that a role has open besides its clients' connections: those to backends or suppliers, the chain, the disk.
pub(crate) const OTHERS: u64 = 512;

/// Raises this process' limit of open files as far as it may, since systems start programs with 1,024, and warns when
/// `max_connections` of clients do not fit.
///
/// A listener that runs out of files closes idle connections and goes on, so a low limit is no reason to stop.
pub(crate) fn raise(max_connections: usize) {
    let Some(limit) = raised() else { return };
    let wanted = (max_connections as u64).saturating_add(OTHERS);
    if limit < wanted {
        tracing::warn!(
            limit,
            max_connections,
            "fewer files may be open than listener.max_connections asks for: raise the hard limit to {wanted} \
             (ulimit -Hn, LimitNOFILE= of a unit), or lower max_connections"
        );
    }
}

/// The limit after raising it; `None` where there is none, or none is known.
#[cfg(unix)]
pub(crate) fn raised() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    let higher = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, higher) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

#[cfg(not(unix))]
pub(crate) fn raised() -> Option<u64> {
    None
}
