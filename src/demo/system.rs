//! Starting and ending the whole system.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder as ThreadBuilder, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder as RuntimeBuilder, Runtime};
use tokio::sync::oneshot;

use crate::client::Channel;
use crate::load::{self, Counters, LoadCounts};
use crate::orders::Peers;
use crate::{Build, StartError, gateway, inventory, orders, payments, serve};

/// Tasks that run when the system ends have this long; they wait for nothing, so it is never used up.
const LAST_ORDERS: Duration = Duration::from_millis(500);

/// Where each service listens: always on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Takes orders from customers: `POST /order`.
    pub gateway: SocketAddr,
    /// Works on them: `POST /api/order`.
    pub orders: SocketAddr,
    /// Charges cards: `POST /api/payment`. The upstream for an agent's proxy route.
    pub payments: SocketAddr,
    /// Puts goods aside: `POST /api/reserve`.
    pub inventory: SocketAddr,
}

impl Addresses {
    /// Each service's name and address, from the customers inwards.
    pub fn all(&self) -> [(&'static str, SocketAddr); 4] {
        let Self {
            gateway,
            orders,
            payments,
            inventory,
        } = *self;
        [
            ("gateway", gateway),
            ("orders", orders),
            ("payments", payments),
            ("inventory", inventory),
        ]
    }

    /// The URL of each service's metrics, in the order of [`Self::all`].
    pub fn metrics_urls(&self) -> [String; 4] {
        self.all().map(|(_, address)| format!("http://{address}/metrics"))
    }
}

/// The system with its ports taken and nothing running yet: the time to put a proxy route before payments.
#[derive(Debug)]
pub struct Bound {
    build: Build,
    addresses: Addresses,
    listeners: [TcpListener; 4],
}

/// Listening addresses of proxy routes that lie between two services; `None`: they call each other directly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Via {
    /// From the gateway to orders; speaks HTTP/2, so it is a route for TCP.
    pub orders: Option<SocketAddr>,
    /// From orders to inventory.
    pub inventory: Option<SocketAddr>,
    /// From orders to payments.
    pub payments: Option<SocketAddr>,
}

/// The running system. Dropping it ends it.
#[derive(Debug)]
pub struct System {
    build: Build,
    addresses: Addresses,
    counters: Arc<Counters>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl System {
    /// Takes a port of 127.0.0.1 for each service. Connections are accepted once [`Bound::start`] is called.
    pub fn bind(build: Build) -> Result<Bound, StartError> {
        let gateway = listen("gateway")?;
        let orders = listen("orders")?;
        let payments = listen("payments")?;
        let inventory = listen("inventory")?;
        let addresses = Addresses {
            gateway: gateway.1,
            orders: orders.1,
            payments: payments.1,
            inventory: inventory.1,
        };
        let listeners = [gateway.0, orders.0, payments.0, inventory.0];
        Ok(Bound {
            build,
            addresses,
            listeners,
        })
    }

    /// Which build of behaviour runs.
    pub fn build(&self) -> Build {
        self.build
    }

    /// Where each service listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What the customers did so far.
    pub fn load(&self) -> LoadCounts {
        self.counters.read()
    }

    /// Ends customers and services; returns when nothing of it runs and its ports are free. Within a second.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for System {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the demo's thread ended by a panic");
        }
    }
}

impl Bound {
    /// Where each service listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Where payments listens: the upstream for the proxy route.
    pub fn payments_addr(&self) -> SocketAddr {
        self.addresses.payments
    }

    /// Starts the services, then the customers. Orders calls payments at `payment_via`, the listening address
    /// of a proxy route; `None`: directly.
    pub fn start(self, payment_via: Option<SocketAddr>) -> Result<System, StartError> {
        self.start_through(Via {
            payments: payment_via,
            ..Via::default()
        })
    }

    /// Starts the services, then the customers, which call each other through these routes.
    pub fn start_through(self, via: Via) -> Result<System, StartError> {
        let Self {
            build,
            addresses,
            listeners,
        } = self;
        let counters = Arc::new(Counters::default());
        let (end, ended) = oneshot::channel();
        let (ready, started) = sync_channel(1);
        let runtime = runtime().map_err(StartError::Threads)?;
        let parts = Parts {
            build,
            addresses,
            via,
            listeners,
            counters: Arc::clone(&counters),
        };
        let thread = ThreadBuilder::new()
            .name("demo".to_owned())
            .spawn(move || {
                let running = runtime.block_on(async { parts.spawn() });
                let goes_on = running.is_ok();
                ready.send(running).ok();
                if goes_on {
                    // Either word ends it: a message, or the sender's drop.
                    runtime.block_on(ended).ok();
                }
                runtime.shutdown_timeout(LAST_ORDERS);
            })
            .map_err(StartError::Threads)?;
        let system = System {
            build,
            addresses,
            counters,
            end: Some(end),
            thread: Some(thread),
        };
        match started.recv() {
            Ok(Ok(())) => Ok(system),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::Threads(io::Error::other("the thread ended at once"))),
        }
    }
}

/// What the demo's thread makes the system of.
struct Parts {
    build: Build,
    addresses: Addresses,
    via: Via,
    listeners: [TcpListener; 4],
    counters: Arc<Counters>,
}

impl Parts {
    /// Spawns everything; inside the runtime.
    fn spawn(self) -> Result<(), StartError> {
        let Self {
            build,
            addresses,
            via,
            listeners,
            counters,
        } = self;
        let inventory = via.inventory.unwrap_or(addresses.inventory);
        let payments = via.payments.unwrap_or(addresses.payments);
        let routers = [
            gateway::router(build, Channel::new(via.orders.unwrap_or(addresses.orders))),
            orders::router(build, Peers::new(inventory, payments)),
            payments::router(),
            inventory::router(),
        ];
        for (((service, _), listener), router) in addresses.all().into_iter().zip(listeners).zip(routers) {
            let listener = tokio::net::TcpListener::from_std(listener)
                .map_err(|source| StartError::Listen { service, source })?;
            tokio::spawn(serve::serve(listener, router));
        }
        tokio::spawn(load::run(Channel::new(addresses.gateway), counters));
        Ok(())
    }
}

fn listen(service: &'static str) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|source| StartError::Listen { service, source })
}

fn runtime() -> io::Result<Runtime> {
    RuntimeBuilder::new_multi_thread()
        .worker_threads(2)
        .thread_name("demo-worker")
        .enable_all()
        .build()
}
