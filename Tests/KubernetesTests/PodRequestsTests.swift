import Kubernetes
import Messages
import Testing

@Suite("What the scheduler counts for a pod")
struct PodRequestsTests {
    private func container(_ cpu: String, sidecar: Bool = false) -> String {
        #"{"resources":{"requests":{"cpu":"\#(cpu)","memory":"10Mi"}}\#(sidecar ? #","restartPolicy":"Always""# : "")}"#
    }

    private func requests(containers: [String], initContainers: [String] = [], rest: String = "") throws -> ResourceList
    {
        let text =
            #"{"metadata":{"uid":"u","name":"p"},"spec":{"initContainers":[\#(initContainers.joined(separator: ","))],"#
            + #""containers":[\#(containers.joined(separator: ","))]\#(rest)},"status":{}}"#
        return try Fixture.decode(PodObject.self, text).shape.requests
    }

    @Test("containers add up, init containers run one after the other")
    func sums() throws {
        let two = [container("200m"), container("300m")]
        #expect(try requests(containers: two).cpuMillis == 500)
        #expect(try requests(containers: two).memoryBytes == 20 << 20)
        #expect(try requests(containers: two, initContainers: [container("400m"), container("100m")]).cpuMillis == 500)
        #expect(try requests(containers: two, initContainers: [container("900m"), container("100m")]).cpuMillis == 900)
    }

    @Test("a sidecar keeps running: with the containers and with the init containers after it")
    func sidecars() throws {
        let main = [container("300m")]
        let sidecar = container("200m", sidecar: true)
        #expect(try requests(containers: main, initContainers: [sidecar]).cpuMillis == 500)
        // Before the big step the sidecar counts with it, after it it does not.
        #expect(try requests(containers: main, initContainers: [sidecar, container("600m")]).cpuMillis == 800)
        #expect(try requests(containers: main, initContainers: [container("600m"), sidecar]).cpuMillis == 600)
    }

    @Test("overhead comes on top, pod-level requests take the place of the sum")
    func others() throws {
        #expect(
            try requests(containers: [container("300m")], rest: #","overhead":{"cpu":"50m","memory":"1Mi"}"#)
                == ResourceList(cpuMillis: 350, memoryBytes: 11 << 20))
        #expect(
            try requests(containers: [container("300m")], rest: #","resources":{"requests":{"cpu":"1"}}"#)
                == ResourceList(cpuMillis: 1_000, memoryBytes: 10 << 20))
    }

    @Test("Use is compared with what runs: containers and sidecars, without initialization and overhead")
    func running() throws {
        func shape(_ initContainers: [String], _ rest: String = "") throws -> PodShape {
            let text =
                #"{"metadata":{"uid":"u","name":"p"},"spec":{"initContainers":[\#(initContainers.joined(separator: ","))],"#
                + #""containers":[\#(container("200m"))]\#(rest)},"status":{}}"#
            return try Fixture.decode(PodObject.self, text).shape
        }
        let sidecar = try shape([container("100m", sidecar: true), container("2")], #","overhead":{"cpu":"50m"}"#)
        #expect(sidecar.requests.cpuMillis == 2_150 && sidecar.runningRequests?.cpuMillis == 300)
        #expect(sidecar.runningRequests?.memoryBytes == 20 << 20)
        let named = try shape([container("2")], #","resources":{"requests":{"cpu":"1"}}"#)
        #expect((named.runningRequests ?? named.requests).cpuMillis == 1_000)
        #expect(try shape([]).runningRequests == nil && shape([container("100m")]).runningRequests == nil)
    }

    @Test("Each container's requests are told where there are several, or the pod's are its own: sidecars too")
    func containers() throws {
        func shape(_ initContainers: String, _ containers: String, _ rest: String = "") throws -> PodShape {
            let text =
                #"{"metadata":{"uid":"u","name":"p"},"spec":{"initContainers":[\#(initContainers)],"containers":[\#(containers)]\#(rest)}}"#
            return try Fixture.decode(PodObject.self, text).shape
        }
        func named(_ name: String, _ cpu: Int, _ rest: String = "") -> String {
            #"{"name":"\#(name)","resources":{"requests":{"cpu":"\#(cpu)m"}}\#(rest)}"#
        }
        let (app, log) = (named("app", 300), named("log", 50, #","restartPolicy":"Always""#))
        let wanted = PodShape.ContainerRequest(name: "app", cpuMillis: 300, memoryBytes: 0)
        #expect(try shape(named("setup", 900), app).containers == nil)
        #expect(
            try shape("\(named("setup", 900)),\(log)", app).containers == [
                .init(name: "log", cpuMillis: 50, memoryBytes: 0), wanted,
            ])
        #expect(
            try shape("", #"\#(app),{"name":"bare"}"#).containers == [
                wanted, .init(name: "bare", cpuMillis: 0, memoryBytes: 0),
            ])
        let whole = try shape("", app, #","resources":{"requests":{"cpu":"1"}}"#)
        #expect(whole.containers == [wanted] && whole.requestsAsWhole == true)
        // A zero that somebody wrote is a request; one of a limit is none, unless the server makes it one.
        let zero = #"{"name":"side","resources":{"requests":{"cpu":"0","memory":0},"limits":{"cpu":"1"}}}"#
        #expect(
            try shape("", "\(app),\(zero)").containers == [
                wanted, .init(name: "side", cpuMillis: 0, memoryBytes: 0, saysZeroCPU: true, saysZeroMemory: true),
            ])
        #expect(
            try shape("", #"\#(app),{"name":"side","resources":{"limits":{"cpu":"0"}}}"#).containers == [
                wanted, .init(name: "side", cpuMillis: 0, memoryBytes: 0),
            ])
        for rest in ["", #","resources":{"limits":{"cpu":"1"}}"#, #","resources":{"requests":{}}"#] {
            #expect(try shape("", app, rest).requestsAsWhole == nil, "\(rest)")
        }
    }

    @Test("extended resources, fractions, numbers instead of strings, amounts beyond 64 bits")
    func quantities() throws {
        let text = #"{"resources":{"requests":{"nvidia.com/gpu":2,"cpu":"0.1","ephemeral-storage":"1G"}}}"#
        #expect(
            try requests(containers: [text, text])
                == ResourceList(
                    cpuMillis: 200, ephemeralStorageBytes: 2_000_000_000, extended: ["nvidia.com/gpu": 4]))
        let huge = #"{"resources":{"requests":{"memory":"7Ei"}}}"#
        #expect(try requests(containers: [huge, huge]).memoryBytes == .max)
    }
}
