//! Links, addresses and routes by rtnetlink(7): the few messages that a bridge with cables needs.
//!
//! A socket belongs to the network namespace of the thread that opened it, for good.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

// linux/netlink.h
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const NLA_F_NESTED: u16 = 0x8000;
// linux/rtnetlink.h
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RTN_UNICAST: u8 = 1;
// linux/if_link.h, linux/if_addr.h, linux/veth.h
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_MODE: u16 = 4;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFF_UP: u32 = 1;
const AF_INET: u8 = 2;

/// Bytes of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;

/// A rtnetlink socket.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// A socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        // NETLINK_ROUTE is protocol 0, which is what "none" asks for.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The index of a link by name.
    ///
    /// # Errors
    /// The kernel's.
    pub fn index(&mut self, name: &str) -> io::Result<Option<u32>> {
        let mut message = Message::new(RTM_GETLINK, 0);
        message.link(0, 0, 0);
        message.text(IFLA_IFNAME, name);
        match self.ask(message, RTM_NEWLINK) {
            // The index is the third field of `struct ifinfomsg`: family and padding, type, index.
            Ok(answer) => {
                Ok(answer.get(4..8).map(|part| u32::from_ne_bytes([part[0], part[1], part[2], part[3]])))
            }
            Err(error) if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The index of a link that must be there.
    ///
    /// # Errors
    /// `ENODEV`, or the kernel's.
    pub fn need_index(&mut self, name: &str) -> io::Result<u32> {
        self.index(name)?.ok_or_else(|| Errno::NODEV.into())
    }

    /// Makes a bridge.
    ///
    /// # Errors
    /// The kernel's; `EEXIST` if there is a link of that name.
    pub fn add_bridge(&mut self, name: &str) -> io::Result<()> {
        let mut message = Message::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
        message.link(0, 0, 0);
        message.text(IFLA_IFNAME, name);
        message.nested(IFLA_LINKINFO, |info| info.text(IFLA_INFO_KIND, "bridge"));
        self.order(message)
    }

    /// Makes a virtual cable: `name` here, `peer` in the network namespace `there`.
    ///
    /// # Errors
    /// The kernel's; `EEXIST` if there is a link of that name.
    pub fn add_veth(&mut self, name: &str, peer: &str, there: BorrowedFd<'_>) -> io::Result<()> {
        let mut message = Message::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
        message.link(0, 0, 0);
        message.text(IFLA_IFNAME, name);
        let fd = there.as_raw_fd().cast_unsigned();
        message.nested(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, "veth");
            info.nested(IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |other| {
                    other.link(0, 0, 0);
                    other.text(IFLA_IFNAME, peer);
                    other.number(IFLA_NET_NS_FD, fd);
                });
            });
        });
        self.order(message)
    }

    /// Brings a link up (or leaves it as it is), and puts it on a bridge if one is given.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_link(&mut self, index: u32, up: bool, bridge: Option<u32>) -> io::Result<()> {
        let mut message = Message::new(RTM_NEWLINK, 0);
        let up = if up { IFF_UP } else { 0 };
        message.link(index, up, up);
        if let Some(bridge) = bridge {
            message.number(IFLA_MASTER, bridge);
        }
        self.order(message)
    }

    /// Lets a bridge send a frame back out of the port it came from (`hairpin_mode` of bridge(8)).
    ///
    /// # Errors
    /// The kernel's.
    pub fn allow_hairpin(&mut self, index: u32) -> io::Result<()> {
        let mut message = Message::new(RTM_NEWLINK, 0);
        message.link(index, 0, 0);
        message.nested(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_SLAVE_KIND, "bridge");
            info.nested(IFLA_INFO_SLAVE_DATA, |port| port.attribute(IFLA_BRPORT_MODE, &[1]));
        });
        self.order(message)
    }

    /// Removes a link.
    ///
    /// # Errors
    /// The kernel's.
    pub fn delete_link(&mut self, index: u32) -> io::Result<()> {
        let mut message = Message::new(RTM_DELLINK, 0);
        message.link(index, 0, 0);
        self.order(message)
    }

    /// Gives a link an address.
    ///
    /// # Errors
    /// The kernel's; `EEXIST` if it has it.
    pub fn add_address(&mut self, index: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut message = Message::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
        // struct ifaddrmsg: family, prefix length, flags, scope (universe), index
        message.bytes.extend([AF_INET, prefix, 0, 0]);
        message.bytes.extend(index.to_ne_bytes());
        message.attribute(IFA_LOCAL, &address.octets());
        message.attribute(IFA_ADDRESS, &address.octets());
        self.order(message)
    }

    /// Sends everything without a better route to `gateway` by way of a link.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_default_route(&mut self, gateway: Ipv4Addr, index: u32) -> io::Result<()> {
        let mut message = Message::new(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
        // struct rtmsg: family, destination and source length, service, table, protocol, scope (universe), type
        message.bytes.extend([AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, 0, RTN_UNICAST]);
        message.bytes.extend(0u32.to_ne_bytes());
        message.attribute(RTA_GATEWAY, &gateway.octets());
        message.number(RTA_OIF, index);
        self.order(message)
    }

    /// Sends an order and waits for the kernel's word on it.
    fn order(&mut self, message: Message) -> io::Result<()> {
        self.ask(message, NLMSG_ERROR).map(drop)
    }

    /// Sends a message and waits for an answer of a type; an acknowledgement counts as an empty one.
    fn ask(&mut self, message: Message, wanted: u16) -> io::Result<Vec<u8>> {
        self.sequence += 1;
        send(&self.socket, &message.finish(self.sequence), SendFlags::empty())?;
        loop {
            let mut buffer = vec![0u8; 32 << 10];
            let (count, _) = recv(&self.socket, &mut buffer, RecvFlags::empty())?;
            buffer.truncate(count);
            if let Some(answer) = read_answer(&buffer, self.sequence, wanted) {
                return answer;
            }
        }
    }
}

/// The answer to request `sequence` among the messages of a datagram, if it is there.
fn read_answer(mut bytes: &[u8], sequence: u32, wanted: u16) -> Option<io::Result<Vec<u8>>> {
    let word = |at: usize, bytes: &[u8]| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    while bytes.len() >= HEADER_BYTES {
        let length = usize::try_from(word(0, bytes)?).ok()?;
        let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
        let body = bytes.get(HEADER_BYTES..length)?;
        if word(8, bytes)? == sequence {
            if kind == NLMSG_ERROR {
                let code = word(0, body)?.cast_signed();
                return Some(if code == 0 {
                    Ok(Vec::new())
                } else {
                    Err(io::Error::from_raw_os_error(-code))
                });
            }
            if kind == wanted {
                return Some(Ok(body.to_vec()));
            }
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

/// A message that is being put together.
#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0u8; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        // A question is answered with its object; an order with an acknowledgement.
        let ack = if kind == RTM_GETLINK { 0 } else { NLM_F_ACK };
        bytes[6..8].copy_from_slice(&(flags | NLM_F_REQUEST | ack).to_ne_bytes());
        Self { bytes }
    }

    /// `struct ifinfomsg`: family and padding, type, index, flags, mask of flags.
    fn link(&mut self, index: u32, flags: u32, change: u32) {
        self.bytes.extend([0u8; 4]);
        for word in [index, flags, change] {
            self.bytes.extend(word.to_ne_bytes());
        }
    }

    /// An attribute: length (without padding), type, value, padding to four bytes.
    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, &[value.as_bytes(), &[0]].concat());
    }

    fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        let mut inner = Message { bytes: Vec::new() };
        fill(&mut inner);
        self.attribute(kind | NLA_F_NESTED, &inner.bytes);
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_kernels_shape() {
        let mut message = Message::new(RTM_NEWLINK, NLM_F_CREATE);
        message.link(3, 1, 1);
        message.text(IFLA_IFNAME, "ab");
        let bytes = message.finish(9);
        assert_eq!(bytes.len(), 16 + 16 + 8);
        assert_eq!(bytes[0], 40);
        assert_eq!(&bytes[32..], [7, 0, 3, 0, b'a', b'b', 0, 0]);
        assert_eq!(bytes[8], 9);
    }

    #[test]
    fn answers_are_told_from_strangers() {
        let ack = |sequence: u32, code: i32| {
            let mut message = Message { bytes: vec![0u8; HEADER_BYTES] };
            message.bytes[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
            message.bytes.extend(code.to_ne_bytes());
            message.bytes.extend([0u8; 16]);
            message.finish(sequence)
        };
        assert!(read_answer(&ack(1, 0), 1, NLMSG_ERROR).unwrap().is_ok());
        assert_eq!(
            read_answer(&ack(1, -17), 1, NLMSG_ERROR).unwrap().unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert!(read_answer(&ack(1, 0), 2, NLMSG_ERROR).is_none());
        let both = [ack(1, 0), ack(2, -1)].concat();
        assert!(read_answer(&both, 2, NLMSG_ERROR).unwrap().is_err());
        assert!(read_answer(&both[..20], 2, NLMSG_ERROR).is_none());
    }
}
