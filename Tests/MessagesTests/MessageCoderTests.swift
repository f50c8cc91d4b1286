import FoundationEssentials
import Messages
import Support
import Testing

@Suite struct MessageCoderTests {
    static let now = Timestamp(seconds: 1_795_467_769)

    static let decision = ScaleDecided(
        cluster: "prod", id: "d-1", group: "workers", from: 3, to: 5,
        reason: Explanation(.podsPending, "7 pods need 2 nodes"), pods: ["default/web-1"], podCount: 7, decidedAt: now,
        deadline: now + .minutes(5))

    static func text(_ payload: String, event: String = "updraft.scale.decided") -> [UInt8] {
        let inner = """
            {"message_id":"m1","publisher_id":"p","event_type":"\(event)","priority":"INFO",\
            "payload":\(payload),"timestamp":"2026-11-23 21:02:49.141060"}
            """
        let escaped = inner.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        return Array("{\"oslo.version\":\"2.0\",\"oslo.message\":\"\(escaped)\"}".utf8)
    }

    static func encode(_ payload: some Payload) throws -> [UInt8] {
        try MessageCoder.encode(
            payload, messageID: "m1", publisherID: "updraft-decider.h", priority: .info, timestamp: now
        ).body
    }

    static func failure(_ body: [UInt8], maximumBytes: Int = MessageCoder.defaultMaximumBytes) -> MessageError? {
        do {
            _ = try Event(try MessageCoder.open(body, maximumBytes: maximumBytes))
            return nil
        } catch {
            return error
        }
    }

    @Test func whatIsWrittenIsRead() throws {
        let received = try MessageCoder.open(try Self.encode(Self.decision))
        #expect(received.envelope.eventType == "updraft.scale.decided")
        #expect(received.envelope.priority == "INFO")
        #expect(received.envelope.time == Self.now)
        #expect(try Event(received) == .scaleDecided(Self.decision))
    }

    @Test func aSnapshotWithEverythingIsRead() throws {
        let shape = PodShape(
            labels: ["app": "web"], owner: .init(kind: "ReplicaSet", name: "web", uid: "u"),
            requests: ResourceList(cpuMillis: 500, memoryBytes: 1 << 30, extended: ["nvidia.com/gpu": 1]),
            priority: -5, nodeSelector: ["pool": "a"],
            nodeAffinity: [NodeSelectorTerm(expressions: [Requirement("zone", .in, ["z1"])])],
            tolerations: [Toleration(key: "k", exists: true)],
            podAntiAffinity: [PodAffinityTerm(selector: LabelSelector(), topologyKey: "kubernetes.io/hostname")],
            topologySpread: [TopologySpreadConstraint(maxSkew: 1, topologyKey: "zone", selector: nil)],
            hostPorts: [.init(port: 80)], localVolumes: [.init(name: "tmp", kind: "emptyDir")])
        let snapshot = ClusterSnapshot(
            cluster: "prod", epoch: "e1", sequence: 9, takenAt: Self.now,
            shapes: [NumberedShape(id: 0, shape: shape)],
            nodes: [Node(name: "n1", providerID: "openstack:///abcdefgh", allocatable: ResourceList(cpuMillis: 4000))],
            pods: [Pod(uid: "u1", name: "web-1", shape: 0, createdAt: Self.now, claims: ["data"])],
            budgets: [Budget(namespace: "default", name: "b", selector: LabelSelector(), disruptionsAllowed: 1)],
            workloads: [Workload(kind: "ReplicaSet", namespace: "default", name: "web", replicas: 3)],
            claims: [Claim(namespace: "default", name: "data", isBound: true)], namespaces: [Namespace(name: "default")]
        )
        #expect(try Event(try MessageCoder.open(try Self.encode(snapshot))) == .clusterSnapshot(snapshot))
    }

    @Test func aRequestOfZeroThatSomebodyWroteIsTold() throws {
        var shape = PodShape(requests: ResourceList(cpuMillis: 500))
        shape.containers = [
            .init(name: "app", cpuMillis: 500, memoryBytes: 0),
            .init(name: "sidecar", cpuMillis: 0, memoryBytes: 0, saysZeroCPU: true),
        ]
        let snapshot = ClusterSnapshot(
            cluster: "prod", epoch: "e1", sequence: 9, takenAt: Self.now, shapes: [NumberedShape(id: 0, shape: shape)])
        #expect(try Event(try MessageCoder.open(try Self.encode(snapshot))) == .clusterSnapshot(snapshot))
    }

    @Test func anOlderServiceSaysNothingOfWrittenZeros() throws {
        let old = Data(#"{"name":"app","cpuMillis":0,"memoryBytes":0}"#.utf8)
        let read = try JSONDecoder().decode(PodShape.ContainerRequest.self, from: old)
        #expect(read == PodShape.ContainerRequest(name: "app", cpuMillis: 0, memoryBytes: 0))
        let written = String(decoding: try JSONEncoder().encode(read), as: UTF8.self)
        #expect(!written.contains("saysZero"))
    }

    @Test func anUnknownFieldIsIgnored() throws {
        let body = Self.text(
            #"{"schema":1,"cluster":"prod","requester":"x","why":"y","later":{"a":[1]}}"#,
            event: "updraft.snapshot.requested")
        #expect(Self.failure(body) == nil)
    }

    @Test(arguments: [
        (#"{"cluster":"prod","requester":"x","why":"y"}"#, "payload.schema"),
        (#"{"schema":1,"requester":"x","why":"y"}"#, "payload.cluster"),
        (#"{"schema":1,"cluster":"prod","requester":7,"why":"y"}"#, "payload.requester"),
        (#"{"schema":1,"cluster":"prod","requester":null,"why":"y"}"#, "payload.requester"),
        (#"{"schema":1,"cluster":"a.b","requester":"x","why":"y"}"#, "payload.cluster"),
        ("null", "payload"), ("[]", "payload"),
    ])
    func aMissingOrWrongFieldIsNamed(payload: String, path: String) {
        let error = Self.failure(Self.text(payload, event: "updraft.snapshot.requested"))
        #expect(error?.code == .invalidField)
        #expect(error?.path == path)
    }

    @Test func aPathGoesIntoLists() {
        let body = Self.text(
            #"{"schema":1,"cluster":"prod","id":"i","group":"g","from":1,"nodes":[{"node":"a","nodeUID":"u","#
                + #""serverID":"s","podsToMove":0,"reason":{"reason":"NodeUnneeded","detail":""}},{"node":"b"}],"#
                + #""decidedAt":"2026-11-23T21:02:49Z","deadline":"2026-11-23T21:02:49Z"}"#,
            event: "updraft.removal.decided")
        #expect(Self.failure(body)?.path == "payload.nodes[1].nodeUID")
    }

    @Test func aNewerSchemaIsRefusedByNumber() {
        let error = Self.failure(
            Self.text(#"{"schema":99,"cluster":"prod"}"#, event: "updraft.snapshot.requested"))
        #expect(error?.code == .unsupportedSchema)
        #expect(error?.what.contains("99") == true)
    }

    @Test func aHugeMessageIsRefusedBeforeItIsRead() {
        let error = Self.failure([UInt8](repeating: 0x5B, count: 5 << 20))
        #expect(error?.code == .tooLarge)
    }

    @Test(arguments: [
        "", "{", "[1]", "nonsense", #"{"oslo.version":"3.0","oslo.message":"{}"}"#,
        #"{"oslo.version":"2.0"}"#, #"{"oslo.version":"2.0","oslo.message":"{"}"#, "\u{0}\u{1}",
    ])
    func notAnEnvelope(text: String) {
        let error = Self.failure(Array(text.utf8))
        #expect(error != nil)
        #expect(error?.isRetriable == false)
    }

    @Test func invalidUTF8IsMalformed() {
        #expect(Self.failure([0x7B, 0x22, 0xFF, 0xFE, 0x22, 0x7D])?.code == .malformed)
    }

    @Test func aRemovalOfNothingOrTwiceTheSameIsRefused() {
        let target = RemovalTarget(node: "a", nodeUID: "u", serverID: "s", reason: Explanation(.nodeUnneeded))
        for nodes in [[], [target, target]] {
            let removal = RemovalDecided(
                cluster: "prod", id: "r", group: "g", from: 3, nodes: nodes, decidedAt: Self.now, deadline: Self.now)
            #expect(throws: MessageError.self) { try Self.encode(removal) }
        }
    }

    @Test func aNumberThatIsNotFiniteIsNotSent() {
        let stats = NodeStats(cluster: "prod", samples: [.init(node: "n", at: Self.now, cpuMillis: .nan)])
        #expect(throws: MessageError.self) { try Self.encode(stats) }
    }

    @Test func everyEventTypeHasOneTopicAndIsDecoded() {
        #expect(EventType.allCases.count == 36)
        for type in EventType.allCases {
            let error = Self.failure(Self.text(#"{"schema":1}"#, event: type.rawValue))
            #expect(error?.code == .invalidField, "\(type) was not looked at")
        }
    }
}

@Suite struct RoutingKeyTests {
    @Test func writesWhatItReads() {
        let key = RoutingKey(cluster: "prod", topic: .decisions, priority: .warn)
        #expect(key.description == "updraft.prod.decisions.warn")
        #expect(RoutingKey(key.description) == key)
    }

    @Test(arguments: [
        "", "updraft", "updraft.prod.decisions", "updraft.prod.nonsense.info", "nova.prod.decisions.info",
        "updraft..decisions.info", "updraft.a b.decisions.info", "updraft.prod.decisions.info.more",
    ])
    func refuses(text: String) {
        #expect(RoutingKey(text) == nil)
    }
}

@Suite struct QuantityTests {
    @Test(arguments: [
        ("0", Int64(0)), ("1", 1_000), ("350m", 350), ("0.1", 100), ("1.5", 1_500), ("2k", 2_000_000),
        ("100n", 1), ("1e3", 1_000_000), ("-1", -1_000), (".5", 500),
    ])
    func millis(text: String, value: Int64) {
        #expect(Quantity.millis(text) == value)
    }

    @Test(arguments: [
        ("8Gi", Int64(8) << 30), ("128974848", 128_974_848), ("129M", 129_000_000), ("123Mi", 123 << 20),
        ("1.5Gi", 3 << 29), ("1500m", 2), ("12E2", 1_200),
    ])
    func units(text: String, value: Int64) {
        #expect(Quantity.units(text) == value)
    }

    @Test(arguments: ["", "m", "Gi", "1x", "1 Gi", "--1", "1e99", "99999999999999999999E", "0x10", "１"])
    func refuses(text: String) {
        #expect(Quantity.units(text) == nil)
    }
}

@Suite struct ModelTests {
    @Test(
        arguments: [
            ("openstack:///0f6b2d3e-1111-2222-3333-444455556666", "0f6b2d3e-1111-2222-3333-444455556666"),
            ("openstack://RegionOne/0f6b2d3e-1111-2222-3333-444455556666", "0f6b2d3e-1111-2222-3333-444455556666"),
            ("openstack:///0F6B2D3E-1111-2222-3333-444455556666", "0f6b2d3e-1111-2222-3333-444455556666"),
            ("openstack:///i-0000001f", nil), ("aws:///zone/i-1", nil), ("openstack://", nil), ("openstack:///", nil),
            ("", nil),
        ] as [(String, String?)])
    func serverOfAProviderID(providerID: String, serverID: String?) {
        let node = Node(name: "n", providerID: providerID, allocatable: ResourceList())
        #expect(node.serverID == serverID)
    }

    @Test func tolerationsFollowKubernetes() {
        let taint = Taint(key: "k", value: "v", effect: .noSchedule)
        #expect(Toleration(key: "k", exists: true).tolerates(taint))
        #expect(Toleration(key: nil, exists: true).tolerates(taint))
        #expect(Toleration(key: "k", exists: false, value: "v", effect: .noSchedule).tolerates(taint))
        #expect(!Toleration(key: "k", exists: false, value: "w").tolerates(taint))
        #expect(!Toleration(key: "k", exists: true, effect: .noExecute).tolerates(taint))
        #expect(!Toleration(key: nil, exists: false, value: "v").tolerates(taint))
    }

    @Test func selectorsFollowKubernetes() {
        let labels = ["a": "1", "b": "2"]
        #expect(Requirement("a", .in, ["1", "9"]).matches(labels))
        #expect(Requirement("c", .notIn, ["1"]).matches(labels))
        #expect(!Requirement("a", .notIn, ["1"]).matches(labels))
        #expect(Requirement("a", .exists).matches(labels))
        #expect(Requirement("c", .doesNotExist).matches(labels))
        #expect(Requirement("b", .greaterThan, ["1"]).matches(labels))
        #expect(!Requirement("b", .lessThan, ["x"]).matches(labels))
        #expect(LabelSelector().matches([:]))
        #expect(!NodeSelectorTerm().matches(labels: labels, nodeName: "n"))
        #expect(
            NodeSelectorTerm(fields: [Requirement("metadata.name", .in, ["n"])]).matches(labels: [:], nodeName: "n"))
    }
}
