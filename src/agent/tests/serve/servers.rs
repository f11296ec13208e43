//! What victims talk to: a resolver that knows one address, a server that says a letter to a TLS client, and one of HTTP.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use socket2::{Domain, Socket, Type};

/// What the resolver answers to every question for an address of IPv4.
pub const RIGHT: [u8; 4] = [10, 1, 1, 1];

/// Answers on port 53 of this address until the process ends.
pub fn resolve(address: IpAddr) -> std::io::Result<()> {
    let udp: UdpSocket = shared(address, Type::DGRAM)?.into();
    let listener = shared(address, Type::STREAM)?;
    listener.listen(16)?;
    let tcp: TcpListener = listener.into();
    thread(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            udp.send_to(&answer(&buffer[..length]), from).ok();
        }
    });
    thread(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut framed = [0; 514];
            if let Ok(length) = stream.read(&mut framed) {
                let answer = answer(&framed[2..length.max(2)]);
                let mut reply = (answer.len() as u16).to_be_bytes().to_vec();
                reply.extend_from_slice(&answer);
                stream.write_all(&reply).ok();
            }
        }
    });
    Ok(())
}

/// There is one ::1 on a host, and another run of these tests may be under way: it answers the same.
fn shared(address: IpAddr, kind: Type) -> std::io::Result<Socket> {
    let address = SocketAddr::new(address, 53);
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn answer(query: &[u8]) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2] = 0x81;
    answer[7] = 1;
    answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    answer.extend_from_slice(&RIGHT);
    answer
}

/// A server that says `S` to each who says anything; its addresses on both families.
pub fn greet() -> [SocketAddr; 2] {
    let four = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = four.local_addr().unwrap().port();
    let six = TcpListener::bind(("::1", port)).unwrap();
    [four, six].map(|listener| {
        let address = listener.local_addr().unwrap();
        thread(move || {
            for mut stream in listener.incoming().flatten() {
                thread(move || greet_one(&mut stream));
            }
        });
        address
    })
}

/// A server of HTTP that answers 200 to each who asks; its addresses on both families.
pub fn web() -> [SocketAddr; 2] {
    let four = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = four.local_addr().unwrap().port();
    let six = TcpListener::bind(("::1", port)).unwrap();
    [four, six].map(|listener| {
        let address = listener.local_addr().unwrap();
        thread(move || {
            for mut stream in listener.incoming().flatten() {
                thread(move || while answer_one(&mut stream).is_ok() {});
            }
        });
        address
    })
}

fn answer_one(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
}

fn greet_one(stream: &mut TcpStream) {
    if stream.read(&mut [0; 512]).is_ok_and(|read| read > 0) {
        stream.write_all(b"S").ok();
    }
}

fn thread(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(work)
        .unwrap();
}
