//! Servers in processes of their own, so that each figure is of one thing: the upstreams, and the bare forwarders
//! that the proxy is measured against.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
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
    /// Starts `hello`, `echo`, `forward UPSTREAM` or `copy UPSTREAM`.
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
