//! TLS handshakes of one door, a few at a time: each computes far more than a request, for whoever asks.
//!
//! A caller's hello is read at once, which costs nothing; what is computed for it waits until it is its source's
//! turn. Many from one source wait for one another, so that they neither keep the processor from an abort nor
//! hold up another source. Connections that are open are never concerned, and how many may wait is limited by
//! their places ([`super::listen`]).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use firedrill_wire::Tick;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::rate::{Bucket, Rate};
use crate::clock;

/// Handshakes a second of one source, and at once after a pause. A console has a few connections to an agent.
const OF_A_SOURCE: Rate = Rate {
    a_second: 50,
    at_once: 100,
};

/// The same of all together: some hundredths of one processor.
const OF_ALL: Rate = Rate {
    a_second: 200,
    at_once: 400,
};

/// Who would wait longer is closed at once, and may come again.
const LONGEST_WAIT_US: u64 = 3_000_000;

/// Sources that are told apart; what comes from more of them at the same time waits together.
const MAX_SOURCES: usize = 1_024;

/// What limits the handshakes of one door.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    all: Mutex<Bucket>,
    sources: Mutex<HashMap<Option<IpAddr>, Bucket>>,
}

impl Handshakes {
    /// A handshake, in its turn.
    pub(super) async fn accept<S>(
        &self,
        stream: S,
        peer: IpAddr,
        tls: &TlsAcceptor,
    ) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        // One source's crowd reaches the common limit only as fast as it may.
        wait(self.turn_of(peer, clock::tick())).await?;
        wait(self.turn_of_all(clock::tick())).await?;
        hello.into_stream(tls.config().clone()).await
    }

    fn turn_of(&self, peer: IpAddr, now: Tick) -> Option<u64> {
        let mut sources = self.sources.lock();
        if sources.len() >= MAX_SOURCES {
            sources.retain(|_, bucket| !bucket.is_whole(now));
        }
        let source = Some(source(peer));
        let is_told_apart = sources.contains_key(&source) || sources.len() < MAX_SOURCES;
        sources
            .entry(source.filter(|_| is_told_apart))
            .or_default()
            .turn_us(OF_A_SOURCE, now, LONGEST_WAIT_US)
    }

    fn turn_of_all(&self, now: Tick) -> Option<u64> {
        self.all.lock().turn_us(OF_ALL, now, LONGEST_WAIT_US)
    }
}

/// Whoever has one IPv6 address has a network of them.
fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        four @ IpAddr::V4(_) => four,
    }
}

async fn wait(turn_us: Option<u64>) -> io::Result<()> {
    match turn_us {
        Some(0) => Ok(()),
        Some(wait_us) => {
            tokio::time::sleep(Duration::from_micros(wait_us)).await;
            Ok(())
        }
        None => Err(io::Error::other("too many handshakes wait already")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: u64 = 1_000_000;

    fn at(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn a_crowd_waits_for_itself_alone() {
        let door = Handshakes::default();
        let crowd = at("10.0.0.1");
        let turns: Vec<_> = (0..1_000)
            .map_while(|_| door.turn_of(crowd, Tick(SECOND_US)))
            .collect();
        assert_eq!(turns.iter().filter(|&&wait_us| wait_us == 0).count(), 100);
        // Fifty in each second that somebody may wait, then the next is closed.
        assert_eq!(turns.len(), 100 + 3 * 50);
        assert!(turns.is_sorted());
        assert_eq!(door.turn_of(at("10.0.0.2"), Tick(SECOND_US)), Some(0));
        // A second later there is room for as many as came off in it.
        let later = (0..1_000).map_while(|_| door.turn_of(crowd, Tick(2 * SECOND_US)));
        assert_eq!(later.count(), 50);
    }

    #[test]
    fn one_network_is_one_source() {
        let door = Handshakes::default();
        for last in 0..100 {
            let peer = at(&format!("2001:db8::{last:x}"));
            assert_eq!(door.turn_of(peer, Tick(SECOND_US)), Some(0));
        }
        assert_ne!(door.turn_of(at("2001:db8::ffff"), Tick(SECOND_US)), Some(0));
        assert_eq!(door.turn_of(at("2001:db8:0:1::1"), Tick(SECOND_US)), Some(0));
        assert_eq!(source(at("::ffff:10.0.0.1")), at("10.0.0.1"));
    }

    #[test]
    fn many_sources_are_forgotten_or_wait_together() {
        let door = Handshakes::default();
        let peer = |number: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number));
        let more = 3 * u32::try_from(MAX_SOURCES).unwrap();
        for number in 0..more {
            door.turn_of(peer(number), Tick(SECOND_US));
        }
        assert!(door.sources.lock().len() <= MAX_SOURCES + 1);
        // Known ones keep their own, the others have used theirs up together.
        assert_eq!(door.turn_of(peer(0), Tick(SECOND_US)), Some(0));
        assert_eq!(door.turn_of(peer(more), Tick(SECOND_US)), None);
        // All is as at the start once they have stopped.
        assert_eq!(door.turn_of(peer(more), Tick(60 * SECOND_US)), Some(0));
        assert_eq!(door.sources.lock().len(), 1);
    }

    #[test]
    fn all_together_are_limited_too() {
        let door = Handshakes::default();
        let turns = (0..10_000).map_while(|_| door.turn_of_all(Tick(SECOND_US)));
        assert_eq!(turns.count(), 400 + 3 * 200);
    }
}
