//! Streams: bytes are copied both ways until both ends are done.

use std::io;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional_with_sizes};

use super::pool;
use super::route::Route;
use super::shape::{Flags, Shaped};

/// Bytes copied at once, for each direction of each connection.
const COPY_BYTES: usize = 16 * 1024;

/// Most bytes that a probe's echo takes.
const MAX_ECHO_BYTES: u64 = 64 * 1024;

/// Copies between a client and the route's upstream.
pub async fn serve(mut client: Shaped, route: &Route, flags: &Flags) -> io::Result<()> {
    flags.begin();
    let mut upstream = match pool::connect(&route.config.upstream).await {
        Ok(stream) => stream,
        Err(error) => {
            // A client should see a failed connection, not an orderly end of an empty answer.
            flags.cut.store(true, Ordering::Release);
            return Err(error);
        }
    };
    copy_bidirectional_with_sizes(&mut client, &mut upstream, COPY_BYTES, COPY_BYTES).await?;
    Ok(())
}

/// Answers a probe with its own bytes, through the same stream faults as any client's.
pub async fn echo(client: Shaped) -> io::Result<()> {
    let (reader, mut writer) = tokio::io::split(client);
    tokio::io::copy(&mut reader.take(MAX_ECHO_BYTES), &mut writer).await?;
    writer.shutdown().await
}
