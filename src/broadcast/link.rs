//! The link: where a host listens, which certificate it shows, and the token of a role.

use std::{fmt, str::FromStr};

use firedrill_trust::Fingerprint;

use crate::tokens::Token;

/// Longest link that is read.
const MAX_LEN: usize = 512;

/// `https://host:port/FINGERPRINT#TOKEN`. What stands after the `#` is never sent by a browser that opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// A name or an address, an IPv6 one without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The certificate that is shown there.
    pub pin: Fingerprint,
    /// The token of a role.
    pub(crate) token: Token,
}

/// Why a text is no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a whole link to watch ({0}); it looks like https://HOST:PORT/FINGERPRINT#TOKEN: copy it again, in quotes, from the console that shares"
)]
pub struct LinkError(&'static str);

impl Link {
    /// Host and port, as they are written.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// It leads to the computer it is used on, whichever that is.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse()
                .is_ok_and(|it: std::net::IpAddr| it.is_loopback())
    }
}

impl fmt::Display for Link {
    /// The link itself: a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pin = self.pin.to_string();
        let pin = pin.strip_prefix("sha256:").unwrap_or(&pin);
        write!(f, "https://{}/{pin}#{}", self.address(), self.token.reveal())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({}, {})", self.address(), self.pin)
    }
}

impl FromStr for Link {
    type Err = LinkError;

    /// Space and line breaks in it do no harm: terminals wrap, and so do chats.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        if text.len() > MAX_LEN {
            return Err(LinkError("it is too long"));
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let rest = text
            .strip_prefix("https://")
            .ok_or(LinkError("it does not begin with https://"))?;
        let (rest, token) = rest
            .split_once('#')
            .ok_or(LinkError("nothing stands after a #"))?;
        let (authority, pin) = rest.split_once('/').ok_or(LinkError("it has no fingerprint"))?;
        let (host, port) = authority.rsplit_once(':').ok_or(LinkError("it has no port"))?;
        let bare = host
            .strip_prefix('[')
            .and_then(|it| it.strip_suffix(']'))
            .unwrap_or(host);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:%".contains(c);
        if bare.is_empty() || bare.len() > 255 || !bare.chars().all(plain) {
            return Err(LinkError("it names no host"));
        }
        let port = port.parse().ok().filter(|port| *port != 0);
        Ok(Self {
            host: bare.to_owned(),
            port: port.ok_or(LinkError("its port is none"))?,
            pin: pin
                .parse()
                .map_err(|_| LinkError("its fingerprint has not 64 hexadecimal digits"))?,
            token: Token::parse(token).ok_or(LinkError("its token is cut"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link(host: &str) -> Link {
        Link {
            host: host.to_owned(),
            port: 7443,
            pin: Fingerprint::of(b"certificate"),
            token: Token::random().unwrap(),
        }
    }

    #[test]
    fn it_comes_back_whole_and_shows_no_secret() {
        for host in ["10.0.0.7", "::1", "desk.example", "fe80::1%eth0"] {
            let link = link(host);
            let text = link.to_string();
            assert_eq!(text.parse(), Ok(link.clone()), "{text}");
            let wrapped = format!(" {}\n  {}", &text[..40], &text[40..]);
            assert_eq!(wrapped.parse(), Ok(link.clone()));
            assert!(!format!("{link:?}").contains(link.token.reveal()));
        }
        assert!(link("127.0.0.1").is_loopback() && link("::1").is_loopback());
        assert!(!link("10.0.0.7").is_loopback());
    }

    #[test]
    fn what_is_cut_is_refused_without_its_secret() {
        let text = link("10.0.0.7").to_string();
        for end in 0..text.len() {
            let error = text[..end].parse::<Link>().unwrap_err().to_string();
            assert!(error.contains("copy it again"), "{end}");
        }
        for odd in ["https://:1/x#y", "http://h:1/x#y", "https://h:0/x#y", ""] {
            assert!(odd.parse::<Link>().is_err(), "{odd}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_is_read_is_read_the_same_again(text in ".{0,200}") {
            if let Ok(link) = text.parse::<Link>() {
                prop_assert_eq!(link.to_string().parse(), Ok(link));
            }
        }
    }
}
