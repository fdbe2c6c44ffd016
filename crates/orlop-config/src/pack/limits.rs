//! How much user data each platform takes.

/// The limit of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The platform, by Ignition's id.
    pub platform: &'static str,
    /// Bytes.
    pub bytes: usize,
    /// The limit is of the data in base64.
    pub base64: bool,
    /// Where it is stated.
    pub source: &'static str,
}

/// The platforms whose limits are known, the tightest last.
pub const LIMITS: &[Limit] = &[
    Limit {
        platform: "azure",
        bytes: 65_536,
        base64: true,
        source: "learn.microsoft.com/azure/virtual-machines/custom-data: 64 KB, in base64",
    },
    Limit {
        platform: "openstack",
        bytes: 65_535,
        base64: true,
        source: "docs.openstack.org/nova/latest/user/user-data.html: base64, 65535 bytes",
    },
    Limit {
        platform: "gcp",
        bytes: 32_768,
        base64: false,
        source: "flatcar/Flatcar#143, openshift/installer#3240: 32 KB",
    },
    Limit { platform: "hetzner", bytes: 32_768, base64: false, source: "hcloud-okd4#18: 32 KiB" },
    Limit {
        platform: "aws",
        bytes: 16_384,
        base64: false,
        source: "docs.aws.amazon.com/AWSEC2: 16 KB in raw form, before base64",
    },
    Limit {
        platform: "virtualbox",
        bytes: 1024,
        base64: false,
        source: "coreos/ignition#2226: a guest property of VirtualBox 7.2.8 takes 1 KiB",
    },
];

impl Limit {
    /// The limit of `platform`, if it is known.
    pub fn of(platform: &str) -> Option<&'static Limit> {
        LIMITS.iter().find(|limit| limit.platform == platform)
    }

    /// What `length` bytes of user data count as, in bytes.
    pub fn counted(&self, length: usize) -> usize {
        if self.base64 { length.div_ceil(3) * 4 } else { length }
    }

    /// Whether `length` bytes of user data fit.
    pub fn takes(&self, length: usize) -> bool {
        self.counted(length) <= self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_counts_where_the_platform_counts_it() {
        let azure = Limit::of("azure").expect("known");
        assert!(azure.takes(49_152) && !azure.takes(49_153));
        let aws = Limit::of("aws").expect("known");
        assert!(aws.takes(16_384) && !aws.takes(16_385));
    }
}
