//! Whether this computer can be reached: its addresses, and a call to each.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use firedrill_scene::{AddressKind, Reach};
use firedrill_trust::PinnedTls;
use rustls::pki_types::ServerName;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// A computer with more addresses has the rest left out.
const ADDRESSES: usize = 16;
/// A call to oneself that takes longer does not arrive.
const LIMIT: Duration = Duration::from_secs(3);

/// Where a listener at `listens` can be called: the address itself, or each of this computer's. Loopback comes last.
pub(crate) fn addresses(listens: SocketAddr) -> Vec<Reach> {
    let mut found: Vec<IpAddr> = if listens.ip().is_unspecified() {
        let all = if_addrs::get_if_addrs().unwrap_or_default();
        all.into_iter()
            .map(|it| it.ip())
            .filter(|it| listens.is_ipv6() || it.is_ipv4())
            // Without the name of an interface it leads nowhere.
            .filter(|it| !matches!(it, IpAddr::V6(six) if six.is_unicast_link_local()))
            .collect()
    } else {
        vec![listens.ip()]
    };
    found.sort_by_key(|it| (rank(AddressKind::of(*it)), it.is_ipv6()));
    found.dedup();
    found.truncate(ADDRESSES);
    found
        .into_iter()
        .map(|ip| Reach {
            address: SocketAddr::new(ip, listens.port()),
            kind: AddressKind::of(ip),
            answered: None,
            reached: None,
        })
        .collect()
}

fn rank(kind: AddressKind) -> u8 {
    match kind {
        AddressKind::Private => 0,
        AddressKind::Public => 1,
        AddressKind::LinkLocal => 2,
        AddressKind::Loopback => 3,
    }
}

/// Calls an address of this computer from an address of it that is not loopback, where it has one: whether our own
/// listener answers there, with our own certificate.
pub(crate) async fn call(address: SocketAddr, tls: &PinnedTls) -> Result<(), String> {
    let calling = async {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| error.to_string())?;
        let name = ServerName::IpAddress(address.ip().into());
        let connector = TlsConnector::from(tls.config());
        let mut stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| format!("somebody else's listener is there: {error}"))?;
        // Who calls only to hear whether somebody is there says goodbye.
        stream.shutdown().await.ok();
        Ok(())
    };
    match timeout(LIMIT, calling).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    }
}

/// Tries every address.
pub(crate) async fn tried(mut reach: Vec<Reach>, tls: PinnedTls) -> Arc<Vec<Reach>> {
    for it in &mut reach {
        it.answered = Some(call(it.address, &tls).await);
    }
    Arc::new(reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_was_chosen_is_the_only_one_and_all_are_all() {
        let one = addresses("127.0.0.1:7443".parse().unwrap());
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].kind, AddressKind::Loopback);
        assert!(one[0].answered.is_none());
        let all = addresses("0.0.0.0:7443".parse().unwrap());
        assert!(
            all.iter()
                .any(|it| it.address == "127.0.0.1:7443".parse().unwrap())
        );
        assert_eq!(all.last().map(|it| it.kind), Some(AddressKind::Loopback));
    }
}
