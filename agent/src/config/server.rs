//! A control plane's address: host and port.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use rescind_protocol::name::HostName;

/// The port agents connect to where none is said.
pub const DEFAULT_PORT: u16 = 7443;

/// A control plane's address, written `name`, `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    host: Box<str>,
    port: u16,
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a server: want name, name:port or [IPv6 address]:port")]
pub struct BadServer;

impl ServerAddress {
    /// The name or address, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }
    /// The TCP port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ServerAddress {
    type Err = BadServer;
    fn from_str(text: &str) -> Result<Self, BadServer> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(BadServer)?;
                host.parse::<Ipv6Addr>().map_err(|_| BadServer)?;
                match rest {
                    "" => (host, None),
                    rest => (host, Some(rest.strip_prefix(':').ok_or(BadServer)?)),
                }
            }
            // More than one colon: an IPv6 address that needs no brackets, having no port.
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => {
                let (host, port) = match text.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (text, None),
                };
                host.parse::<HostName>().map_err(|_| BadServer)?;
                (host, port)
            }
        };
        let port = match port {
            None => DEFAULT_PORT,
            // `u16::from_str` would take a sign.
            Some(port) if port.starts_with('+') => return Err(BadServer),
            Some(port) => port.parse().map_err(|_| BadServer)?,
        };
        if port == 0 {
            return Err(BadServer);
        }
        Ok(Self {
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl serde::Serialize for ServerAddress {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ServerAddress {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, read) in [
            ("rescind.example.com", Some("rescind.example.com:7443")),
            ("rescind:443", Some("rescind:443")),
            ("192.0.2.1", Some("192.0.2.1:7443")),
            ("2001:db8::1", Some("[2001:db8::1]:7443")),
            ("[::1]:1", Some("[::1]:1")),
            ("[::1]", Some("[::1]:7443")),
            ("", None),
            (":1", None),
            ("a:", None),
            ("a:0", None),
            ("a:+1", None),
            ("a:65536", None),
            ("https://a", None),
            ("[::1]x", None),
            ("a b", None),
        ] {
            let got = text.parse::<ServerAddress>().ok().map(|s| s.to_string());
            assert_eq!(got.as_deref(), read, "{text:?}");
        }
    }
}
