//! Free ports for programs that cannot choose one themselves.

use crate::error::RigError;
use std::net::{Ipv4Addr, TcpListener};

/// As many different ports as asked for that nobody listens on just now. Somebody else may take one before it is used:
/// programs that then fail to start say so.
pub(crate) fn free<const N: usize>() -> Result<[u16; N], RigError> {
    let error = |source| RigError::System { doing: "looking for a free port on loopback", source };
    // All are held until the last is found, so that they differ.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(error)?;
        *port = listener.local_addr().map_err(error)?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ() {
        let ports = free::<8>().unwrap();
        let different: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(different.len(), 8);
    }
}
