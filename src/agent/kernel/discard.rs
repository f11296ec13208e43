//! Packets are lost on their way from or to a socket.
//!
//! A packet that leaves is dropped the way a full queue drops it: TCP sends it again, and who sends a datagram is
//! told nothing, as with a loss in the network. (Dropped in the other way the sender would get EPERM.)

use super::asm::{AsmError, Assembler, Code, Reg, Size, When};
use super::bpf::{Cells, Hook};
use super::select::{Selection, TCP, load_bytes};
use super::{Programs, throw_dice};

/// Dropped, and the sender's stack told of congestion.
const DROP_LEAVING: i32 = 2;
const DROP_ARRIVING: i32 = 0;
const PASS: i32 = 1;

/// Which packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    /// Those that leave.
    pub leaving: bool,
    /// Those that arrive.
    pub arriving: bool,
    /// Of those only TCP segments that begin a TLS handshake.
    pub client_hello: bool,
}

impl Which {
    /// All of both directions.
    pub const BOTH: Self = Self {
        leaving: true,
        arriving: true,
        client_hello: false,
    };
}

/// A program for each direction.
pub fn programs(selection: &Selection, which: Which, settings: &Cells, counters: &Cells) -> Programs {
    let hooks = [(Hook::Egress, which.leaving), (Hook::Ingress, which.arriving)];
    hooks
        .into_iter()
        .filter(|(_, wanted)| *wanted)
        .map(|(hook, _)| {
            let code = program(
                selection,
                hook == Hook::Egress,
                which.client_hello,
                settings,
                counters,
            )?;
            Ok((hook, code))
        })
        .collect()
}

fn program(
    selection: &Selection,
    leaves: bool,
    client_hello: bool,
    settings: &Cells,
    counters: &Cells,
) -> Result<Code, AsmError> {
    let mut code = Assembler::default();
    let pass = code.label();
    code.copy(Reg::R6, Reg::R1);
    if client_hello {
        selection.choose_packet(&mut code, leaves, Some(TCP), pass);
        choose_client_hello(&mut code, pass);
    } else {
        selection.choose_packet(&mut code, leaves, None, pass);
    }
    throw_dice(&mut code, settings, counters, pass);
    code.note("dropped");
    code.end(if leaves { DROP_LEAVING } else { DROP_ARRIVING });
    code.bind(pass);
    code.note("not hit");
    code.end(PASS);
    code.finish()
}

/// Where the stack has the payload's first bytes.
const PAYLOAD: i16 = -16;

/// Goes on only with the first segment of a TLS handshake: a record of handshake (0x16, version 3.x) whose first
/// message is ClientHello (1). R7 is where the TCP header begins.
fn choose_client_hello(code: &mut Assembler, pass: super::asm::Label) {
    use super::asm::Alu;
    code.note("the length of the TCP header, in its 13th byte's upper half, in words");
    load_bytes(code, Some(Reg::R7), 12, PAYLOAD, 1, pass);
    code.load(Size::B, Reg::R2, Reg::R10, PAYLOAD);
    code.alu(Alu::Shr, Reg::R2, 4);
    code.alu(Alu::Shl, Reg::R2, 2);
    code.add(Reg::R7, Reg::R2);
    code.note("the payload begins 16 03 .. .. .. 01");
    load_bytes(code, Some(Reg::R7), 0, PAYLOAD, 6, pass);
    for (offset, byte) in [(0, 0x16), (1, 0x03), (5, 0x01)] {
        code.load(Size::B, Reg::R2, Reg::R10, PAYLOAD + offset);
        code.jump_if(Reg::R2, When::Ne, byte, pass);
    }
}
