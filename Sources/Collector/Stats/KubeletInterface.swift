/// Which of a node's network interfaces carry what leaves and enters the machine.
enum KubeletInterface {
    private static let virtual: [StaticString] = [
        "lo", "veth", "cali", "cni", "cbr", "flannel", "docker", "br-", "lxc", "tap", "kube-", "vxlan", "dummy",
        "virbr", "nodelocaldns", "tunl", "weave", "cilium", "ovn", "genev", "lxdbr", "podman",
    ]

    /// Loopback, bridges, tunnels and the node's ends of its pods' cables.
    static func isVirtual(_ name: some Collection<UInt8>) -> Bool {
        virtual.contains { prefix in
            // `lo` is a whole name, the others begin one.
            let matches = name.starts(
                with: UnsafeBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount))
            return matches && (prefix.utf8CodeUnitCount > 2 || name.count == prefix.utf8CodeUnitCount)
        }
    }
}
