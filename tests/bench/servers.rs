//! Servers in processes of their own, so that each figure is of one thing: the upstreams, and the bare forwarders
//! that the proxy is measured against.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use firedrill_testing::{Folder, PATIENCE, Process};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// A server of this program, in a process of its own.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    _process: Process,
    _folder: Folder,
}

impl Server {
    /// Starts `hello`, `echo`, `forward UPSTREAM`, `copy UPSTREAM`, `datagrams` (an echo) or `resolver`.
    pub fn start(words: &[&str]) -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").args(words);
        let mut process = Process::start(words[0], command, folder.path())?;
        let address = process.line(PATIENCE)?.parse()?;
        Ok(Self {
            address,
            _process: process,
            _folder: folder,
        })
    }
}

/// The process's work; it ends by being killed. It leads a session of its own, as the proxy does: the kernel shares the
/// processors out by sessions (sched_autogroup), and what is compared must get the same share.
pub fn serve(words: &[String]) -> anyhow::Result<()> {
    nix::unistd::setsid()?;
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let of_datagrams = match words[..] {
        ["datagrams"] => Some(echo_datagrams(Ipv4Addr::LOCALHOST)?),
        ["resolver"] => Some(resolver()?),
        _ => None,
    };
    if let Some(address) = of_datagrams {
        println!("{address}");
        loop {
            std::thread::park();
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            match words[..] {
                ["hello"] => drop(tokio::spawn(hello(stream))),
                ["echo"] => drop(tokio::spawn(echo(stream))),
                ["forward", to] => drop(tokio::spawn(forward(stream, to.parse()?))),
                ["copy", to] => drop(tokio::spawn(copy(stream, to.parse()?))),
                _ => bail!("no such server: {words:?}"),
            }
        }
    })
}

/// Says every datagram back, on a thread of its own.
pub fn echo_datagrams(host: Ipv4Addr) -> anyhow::Result<SocketAddr> {
    answers((host, 0).into(), <[u8]>::to_vec)
}

/// What `resolver` answers for every name.
pub const RESOLVED: [u8; 4] = [10, 1, 1, 1];

/// On the port of resolvers, at an address of the loopback that no other process of this program has.
fn resolver() -> anyhow::Result<SocketAddr> {
    let [.., high, low] = std::process::id().to_be_bytes();
    answers(SocketAddr::from(([127, 77, high, low], 53)), |query| {
        let mut answer = query.to_vec();
        if let [_, _, flags, _, _, _, _, count, ..] = &mut answer[..] {
            (*flags, *count) = (0x81, 1);
        }
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend_from_slice(&RESOLVED);
        answer
    })
}

fn answers(at: SocketAddr, answer: fn(&[u8]) -> Vec<u8>) -> anyhow::Result<SocketAddr> {
    let socket = UdpSocket::bind(at).with_context(|| at.to_string())?;
    let address = socket.local_addr()?;
    std::thread::Builder::new()
        .name("answers".to_owned())
        .spawn(move || {
            let mut asked = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut asked) {
                socket.send_to(&answer(&asked[..length]), from).ok();
            }
        })?;
    Ok(address)
}

/// What `hello` answers.
pub const HELLO: &str = "hello";

async fn hello(stream: TcpStream) {
    let service = service_fn(async |_: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(HELLO.as_bytes()))))
    });
    // The load ends by closing its connections.
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

async fn echo(mut stream: TcpStream) {
    let (mut read, mut write) = stream.split();
    tokio::io::copy(&mut read, &mut write).await.ok();
}

/// The bare hyper forwarder: one upstream connection for each of its own.
async fn forward(stream: TcpStream, to: SocketAddr) -> anyhow::Result<()> {
    let upstream = TcpStream::connect(to).await?;
    upstream.set_nodelay(true)?;
    let (sender, connection) =
        hyper::client::conn::http1::handshake::<_, Incoming>(TokioIo::new(upstream)).await?;
    tokio::spawn(connection);
    let sender = Arc::new(tokio::sync::Mutex::new(sender));
    let service = service_fn(move |request: Request<Incoming>| {
        let sender = Arc::clone(&sender);
        async move {
            let mut sender = sender.lock().await;
            sender.ready().await?;
            sender.send_request(request).await
        }
    });
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .context("forwarding")
}

/// The bare copy loop.
async fn copy(mut stream: TcpStream, to: SocketAddr) -> anyhow::Result<()> {
    let mut upstream = TcpStream::connect(to).await?;
    upstream.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut stream, &mut upstream).await?;
    Ok(())
}
