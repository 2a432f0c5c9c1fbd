//! Values that more than one subcommand takes from its command line, with messages that say what is
//! right.

use std::net::{SocketAddr, ToSocketAddrs};

use anyport::Backend;

/// The name of a backend that works on this machine.
pub(crate) fn backend(name: &str) -> Result<Backend, String> {
    let known = || Backend::ALL.iter().map(Backend::to_string).collect::<Vec<_>>().join(", ");
    let backend: Backend =
        name.parse().map_err(|_| format!("there is no such backend; the backends are {}", known()))?;
    backend.check().map_err(|why| format!("this backend does not work here: {why}"))?;
    Ok(backend)
}

/// The addresses that `host:port` stands for.
pub(crate) fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    const FORM: &str = "an address looks like 127.0.0.1:8080, [::1]:8080 or localhost:8080";
    if let Ok(address) = text.parse() {
        return Ok(vec![address]);
    }
    // Only what has the form of a name and a port is worth asking the resolver for.
    let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        return Err(FORM.to_owned());
    }
    match text.to_socket_addrs().map(Vec::from_iter) {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("this name has no address; {FORM}")),
        Err(error) => Err(format!("{error}; {FORM}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(addresses("127.0.0.1:80").unwrap(), ["127.0.0.1:80".parse().unwrap()]);
        assert_eq!(addresses("[::1]:0").unwrap(), ["[::1]:0".parse().unwrap()]);
        for malformed in ["", "8080", "localhost", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1"] {
            assert!(addresses(malformed).is_err(), "{malformed}");
        }
    }

    #[test]
    fn a_backend_that_does_not_exist_is_answered_with_those_that_do() {
        let message = backend("kqeueu").unwrap_err();
        for backend in Backend::ALL {
            assert!(message.contains(&backend.to_string()), "{message}");
        }
    }
}
