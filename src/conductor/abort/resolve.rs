//! Where an abort goes to: an agent's second listener, looked up before it is needed.

use std::{net::SocketAddr, time::Duration};

use firedrill_fleet::Credentials;
use firedrill_plan::AgentEntry;
use firedrill_trust::PinnedTls;

use super::AbortTarget;

/// Where an agent's abort listener is: the next port, until the agent says another.
pub(crate) async fn resolve(
    entry: &AgentEntry,
    agent: usize,
    credentials: &Credentials,
) -> Result<AbortTarget, String> {
    let (host, port) = host_and_port(&entry.url)
        .ok_or_else(|| format!("agent {}: {} has no host and port", entry.name, entry.url))?;
    let port = credentials
        .abort_port(&entry.url)
        .unwrap_or(port.saturating_add(1));
    let looked_up = tokio::net::lookup_host((host.trim_matches(['[', ']']), port));
    let found = tokio::time::timeout(Duration::from_secs(2), looked_up).await;
    let address: Option<SocketAddr> = match found {
        Ok(Ok(mut addresses)) => addresses.next(),
        Ok(Err(error)) => return Err(format!("agent {}: {host}: {error}", entry.name)),
        Err(_) => return Err(format!("agent {}: no address of {host} within 2 s", entry.name)),
    };
    let address = address.ok_or_else(|| format!("agent {}: {host} has no address", entry.name))?;
    let tls = if entry.url.trim().starts_with("https:") {
        let pin = credentials.pin(&entry.url).ok_or_else(|| {
            format!(
                "agent {}: the certificate of {} is not known; on its host run `firedrill-agent enroll`, then here: firedrill enroll LINE",
                entry.name, entry.url
            )
        })?;
        Some(PinnedTls::new(pin))
    } else if address.ip().is_loopback() {
        None
    } else {
        // The token would be read by everybody on the way.
        return Err(format!(
            "agent {}: {address} is another host's: write https:// and enroll it",
            entry.name
        ));
    };
    Ok(AbortTarget {
        agent,
        name: entry.name.clone(),
        address,
        host: format!("{host}:{port}"),
        token: credentials.abort_token(&entry.url).cloned(),
        tls,
    })
}

/// Of `https://HOST[:PORT]`, `http://HOST[:PORT]`.
fn host_and_port(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let rest = rest.trim_end_matches('/');
    let port_at = rest
        .rfind(':')
        .filter(|colon| rest[colon + 1..].bytes().all(|byte| byte.is_ascii_digit()));
    match port_at {
        Some(colon) if colon > 0 => Some((rest[..colon].to_owned(), rest[colon + 1..].parse().ok()?)),
        _ if !rest.is_empty() => Some((rest.to_owned(), default)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_hosts_and_ports() {
        let of = |url| host_and_port(url);
        assert_eq!(of("http://10.0.0.7:7431/"), Some(("10.0.0.7".to_owned(), 7431)));
        assert_eq!(of("http://[::1]:7431"), Some(("[::1]".to_owned(), 7431)));
        assert_eq!(of("http://host"), Some(("host".to_owned(), 80)));
        assert_eq!(of("https://host:1"), Some(("host".to_owned(), 1)));
        assert_eq!(of("https://host"), Some(("host".to_owned(), 443)));
        assert_eq!(of("ftp://host:1"), None);
        assert_eq!(of("http://"), None);
        assert_eq!(of("http://host:99999"), None);
    }
}
