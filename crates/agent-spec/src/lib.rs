//! What a workstation and the guest agent of a virtual machine say to each other.
//!
//! The two ends are `vm::agent` (workstation) and `orlop-host guest-agent` (machine); the wire is a
//! virtio-serial port named [`PORT`]. The spec page is `docs/formats/guest-agent.md`.
//!
//! Principles:
//! - No I/O here: bytes in, messages out, so that both ends and the fuzzer use one parser.
//! - A stream can be cut anywhere (a machine is saved, restored, killed). The byte `0xFF` never occurs
//!   inside a frame, so either end finds the next frame by itself.
//!
//! Modules: [`frame`] (bytes to payloads), [`message`] (payloads to calls and replies).

pub mod frame;
pub mod message;

pub use frame::{Decoder, FrameError, encode};
pub use message::{Call, MessageError, Reply, ReplyBody, Request, Stream};

/// Version of the protocol; the agent tells its own in the answer to [`Request::Sync`].
pub const VERSION: u32 = 1;

/// Name of the virtio-serial port, seen in the guest as `/dev/virtio-ports/io.orlop.agent`.
pub const PORT: &str = "io.orlop.agent";

/// Entry for the fuzzer: any bytes must end in messages or errors, and the decoder must keep its bounds.
pub fn fuzz(bytes: &[u8]) {
    let mut decoder = Decoder::default();
    // Two sizes of piece, so that a frame is met whole as well as cut.
    for piece in bytes.chunks(7) {
        decoder.push(piece);
        while let Some(found) = decoder.next_frame() {
            if let Ok(payload) = found {
                let _ = Call::decode(&payload);
                let _ = Reply::decode(&payload);
            }
        }
        assert!(
            decoder.buffered() <= frame::PAYLOAD_MAX_BYTES + frame::HEADER_BYTES,
            "decoder keeps its bound"
        );
    }
}
