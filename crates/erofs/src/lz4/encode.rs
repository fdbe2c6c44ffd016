//! The encoder.
use super::*;

/// Fills clusters.
#[derive(Debug)]
pub struct Encoder {}
impl Encoder {
    /// new
    pub fn new(_level: u8) -> Self {
        Self {}
    }
    /// fill
    pub fn fill(&mut self, src: &[u8], dst: &mut [u8]) -> (usize, usize) {
        let mut n = src.len().min(dst.len() - dst.len() / 255 - 16);
        loop {
            let out = lits(&src[..n]);
            if out.len() <= dst.len() {
                dst[..out.len()].copy_from_slice(&out);
                return (n, out.len());
            }
            n -= 1;
        }
    }
}
fn lits(s: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if s.len() < LENGTH_MORE {
        out.push((s.len() as u8) << 4);
    } else {
        out.push(0xf0);
        let mut r = s.len() - 15;
        while r >= 255 {
            out.push(255);
            r -= 255;
        }
        out.push(r as u8);
    }
    out.extend_from_slice(s);
    out
}
