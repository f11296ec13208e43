//! Connections and datagrams to others are led to a responder in the agent, on the loopback.
//!
//! The victim sees the address that it asked for: what a socket was led away from is kept by the socket's number,
//! and told again as the sender of answers and by getpeername(2). The responder is told the address that was led
//! away last, of each family.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};

use super::asm::{AsmError, Assembler, Code, Helper, Label, Reg, Size, When};
use super::bpf::{Cells, Hook, PerSocket};
use super::select::{Selection, TCP, UDP, sock_addr};
use super::{HIT, Programs, SEEN, throw_dice};

/// So many sockets are remembered; the oldest is forgotten.
const SOCKETS: u32 = 16 * 1024;

/// An address as it is kept, in words of eight bytes: in IPv6's form, the port in the order of the network, nothing.
const KEPT_WORDS: usize = 3;
const KEPT_BYTES: i16 = 24;
/// Where it is made, below the end of the stack.
const KEPT: i16 = -32;
/// Where the socket's number is, for the map.
const KEY: i16 = -8;

/// The third word of IPv4 in IPv6.
const MAPPED: i32 = 0xffff_u32.to_be().cast_signed();
const LOOPBACK4: i32 = 0x7f00_0001_u32.to_be().cast_signed();
const LOOPBACK6: i32 = 1_u32.to_be().cast_signed();

/// Where the victim is led, and what it was led away from.
#[derive(Debug)]
pub struct Redirect {
    /// The responder's port on 127.0.0.1.
    pub port4: u16,
    /// The responder's port on ::1, where the victim has that.
    pub port6: Option<u16>,
    /// Whether datagrams are led too.
    pub datagrams: bool,
    /// Whether the share is thrown for here, or left to the responder.
    pub dice: bool,
    sockets: PerSocket<KEPT_WORDS>,
    last: Cells,
}

impl Redirect {
    /// To these ports.
    pub fn new(port4: u16, port6: Option<u16>, datagrams: bool, dice: bool) -> io::Result<Self> {
        Ok(Self {
            port4,
            port6,
            datagrams,
            dice,
            sockets: PerSocket::new(SOCKETS)?,
            last: Cells::new(2 * KEPT_WORDS)?,
        })
    }

    /// The address that was led away last, of this family.
    pub fn last(&self, six: bool) -> io::Result<Option<SocketAddr>> {
        let cells = self.last.read()?;
        let from = if six { KEPT_WORDS } else { 0 };
        Ok(cells
            .get(from..from + KEPT_WORDS)
            .and_then(|kept| kept.try_into().ok())
            .and_then(address))
    }

    /// What a socket was led away from, by its number.
    pub fn of_socket(&self, cookie: u64) -> io::Result<Option<SocketAddr>> {
        Ok(self.sockets.get(cookie)?.and_then(address))
    }

    /// All of them, for what is chosen.
    pub fn programs(&self, selection: &Selection, settings: &Cells, counters: &Cells) -> Programs {
        let (away, back) = if self.datagrams {
            (
                vec![Hook::Connect4, Hook::Connect6, Hook::SendMsg4, Hook::SendMsg6],
                vec![Hook::PeerName4, Hook::PeerName6, Hook::RecvMsg4, Hook::RecvMsg6],
            )
        } else {
            (
                vec![Hook::Connect4, Hook::Connect6],
                vec![Hook::PeerName4, Hook::PeerName6],
            )
        };
        let away = away
            .into_iter()
            .filter(|hook| selection.can_hit(is_six(*hook)))
            .map(|hook| Ok((hook, self.away(selection, is_six(hook), settings, counters)?)));
        let back = back.into_iter().map(|hook| Ok((hook, self.back(is_six(hook))?)));
        // First those that put the victim's own address back.
        back.chain(away).collect()
    }

    fn away(
        &self,
        selection: &Selection,
        six: bool,
        settings: &Cells,
        counters: &Cells,
    ) -> Result<Code, AsmError> {
        let mut code = Assembler::default();
        let (pass, led) = (code.label(), code.label());
        code.copy(Reg::R6, Reg::R1);
        code.note("TCP, and UDP where datagrams are led too");
        code.load(Size::W, Reg::R2, Reg::R6, sock_addr::PROTOCOL);
        if self.datagrams {
            let is_it = code.label();
            code.jump_if(Reg::R2, When::Eq, i32::from(TCP), is_it);
            code.jump_if(Reg::R2, When::Ne, i32::from(UDP), pass);
            code.bind(is_it);
        } else {
            code.jump_if(Reg::R2, When::Ne, i32::from(TCP), pass);
        }
        selection.choose_address(&mut code, six, pass);
        if six && self.port6.is_none() {
            code.note("there is no responder on IPv6: only IPv4 in IPv6 is led");
            jump_unless_mapped(&mut code, pass);
        }
        if self.dice {
            throw_dice(&mut code, settings, counters, pass);
        } else {
            code.note("one more seen, and led");
            code.map_value(Reg::R7, counters.fd());
            code.set(Reg::R1, 1);
            code.atomic_add(Reg::R7, SEEN, Reg::R1);
            code.atomic_add(Reg::R7, HIT, Reg::R1);
        }
        code.note("what it is led away from, kept for the responder and by the socket");
        self.keep(&mut code, six);
        if six && let Some(port6) = self.port6 {
            let mapped = code.label();
            jump_if_mapped(&mut code, mapped);
            code.note("to ::1");
            lead(&mut code, Some([0, 0, 0, LOOPBACK6]), sock_addr::IP6, port6);
            code.jump(led);
            code.bind(mapped);
        }
        code.note("to 127.0.0.1");
        let last_word = if six { sock_addr::IP6 + 12 } else { sock_addr::IP4 };
        code.set(Reg::R2, LOOPBACK4);
        code.store(Size::W, Reg::R6, last_word, Reg::R2);
        lead(&mut code, None, 0, self.port4);
        code.bind(led);
        code.bind(pass);
        code.end(1);
        code.finish()
    }

    /// The address of the call into the stack, then into the cells of its family and the map of sockets.
    fn keep(&self, code: &mut Assembler, six: bool) {
        if six {
            for word in 0..4 {
                code.load(Size::W, Reg::R2, Reg::R6, sock_addr::IP6 + 4 * word);
                code.store(Size::W, Reg::R10, KEPT + 4 * word, Reg::R2);
            }
        } else {
            code.put(Size::Dw, Reg::R10, KEPT, 0);
            code.put(Size::W, Reg::R10, KEPT + 8, MAPPED);
            code.load(Size::W, Reg::R2, Reg::R6, sock_addr::IP4);
            code.store(Size::W, Reg::R10, KEPT + 12, Reg::R2);
        }
        code.put(Size::Dw, Reg::R10, KEPT + 16, 0);
        code.load(Size::W, Reg::R2, Reg::R6, sock_addr::PORT);
        code.store(Size::W, Reg::R10, KEPT + 16, Reg::R2);
        code.map_value(Reg::R8, self.last.fd());
        let (first, second) = (0, KEPT_BYTES);
        if six {
            let (mapped, kept) = (code.label(), code.label());
            jump_if_mapped(code, mapped);
            copy_kept(code, second);
            code.jump(kept);
            code.bind(mapped);
            copy_kept(code, first);
            code.bind(kept);
        } else {
            copy_kept(code, first);
        }
        code.copy(Reg::R1, Reg::R6);
        code.call(Helper::SocketCookie);
        code.store(Size::Dw, Reg::R10, KEY, Reg::R0);
        code.map(Reg::R1, self.sockets.fd());
        code.address(Reg::R2, Reg::R10, i32::from(KEY));
        code.address(Reg::R3, Reg::R10, i32::from(KEPT));
        code.set(Reg::R4, 0);
        code.call(Helper::MapUpdate);
    }

    /// Puts the address back that the socket was led away from, where the responder's is told.
    fn back(&self, six: bool) -> Result<Code, AsmError> {
        let mut code = Assembler::default();
        let (pass, ours) = (code.label(), code.label());
        code.copy(Reg::R6, Reg::R1);
        code.note("is it the responder?");
        code.load(Size::W, Reg::R7, Reg::R6, sock_addr::PORT);
        if six {
            let mapped = code.label();
            jump_if_mapped(&mut code, mapped);
            if let Some(port6) = self.port6 {
                code.load(Size::W, Reg::R2, Reg::R6, sock_addr::IP6 + 12);
                code.jump_if(Reg::R2, When::Ne, LOOPBACK6, pass);
                code.jump_if(Reg::R7, When::Eq, i32::from(port6.to_be()), ours);
            }
            code.jump(pass);
            code.bind(mapped);
        }
        let last_word = if six { sock_addr::IP6 + 12 } else { sock_addr::IP4 };
        code.load(Size::W, Reg::R2, Reg::R6, last_word);
        code.jump_if(Reg::R2, When::Ne, LOOPBACK4, pass);
        code.jump_if(Reg::R7, When::Ne, i32::from(self.port4.to_be()), pass);
        code.bind(ours);
        code.note("what was this socket led away from?");
        code.copy(Reg::R1, Reg::R6);
        code.call(Helper::SocketCookie);
        code.store(Size::Dw, Reg::R10, KEY, Reg::R0);
        code.map(Reg::R1, self.sockets.fd());
        code.address(Reg::R2, Reg::R10, i32::from(KEY));
        code.call(Helper::MapLookup);
        code.jump_if_null(Reg::R0, pass);
        if six {
            for word in 0..4 {
                code.load(Size::W, Reg::R2, Reg::R0, 4 * word);
                code.store(Size::W, Reg::R6, sock_addr::IP6 + 4 * word, Reg::R2);
            }
        } else {
            code.load(Size::W, Reg::R2, Reg::R0, 12);
            code.store(Size::W, Reg::R6, sock_addr::IP4, Reg::R2);
        }
        code.load(Size::W, Reg::R2, Reg::R0, 16);
        code.store(Size::W, Reg::R6, sock_addr::PORT, Reg::R2);
        code.bind(pass);
        code.end(1);
        code.finish()
    }
}

/// As programs keep it; none where there is no port.
fn address(kept: [u64; KEPT_WORDS]) -> Option<SocketAddr> {
    let mut bytes = [0; 8 * KEPT_WORDS];
    for (to, word) in bytes.chunks_exact_mut(8).zip(kept) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    let address: [u8; 16] = bytes[..16].try_into().ok()?;
    let port = u16::from_be_bytes([bytes[16], bytes[17]]);
    let address = Ipv6Addr::from(address).to_canonical();
    (port != 0).then_some(SocketAddr::new(address, port))
}

fn is_six(hook: Hook) -> bool {
    matches!(
        hook,
        Hook::Connect6 | Hook::SendMsg6 | Hook::RecvMsg6 | Hook::PeerName6
    )
}

fn jump_if_mapped(code: &mut Assembler, mapped: Label) {
    let other = code.label();
    jump_unless_mapped(code, other);
    code.jump(mapped);
    code.bind(other);
}

fn jump_unless_mapped(code: &mut Assembler, other: Label) {
    for (word, value) in [(0, 0), (4, 0), (8, MAPPED)] {
        code.load(Size::W, Reg::R2, Reg::R6, sock_addr::IP6 + word);
        code.jump_if(Reg::R2, When::Ne, value, other);
    }
}

/// From the stack to the cells at R8.
fn copy_kept(code: &mut Assembler, to: i16) {
    for offset in [0, 8, 16] {
        code.load(Size::Dw, Reg::R2, Reg::R10, KEPT + offset);
        code.store(Size::Dw, Reg::R8, to + offset, Reg::R2);
    }
}

/// Writes an address' words, where given, and the port into the call.
fn lead(code: &mut Assembler, words: Option<[i32; 4]>, base: i16, port: u16) {
    for (word, value) in (0_i16..).zip(words.into_iter().flatten()) {
        code.set(Reg::R2, value);
        code.store(Size::W, Reg::R6, base + 4 * word, Reg::R2);
    }
    code.set(Reg::R2, i32::from(port.to_be()));
    code.store(Size::W, Reg::R6, sock_addr::PORT, Reg::R2);
}
