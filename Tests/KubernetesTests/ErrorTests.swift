import HTTPClient
import Support
import Testing

@testable import Kubernetes

@Suite("Recorded refusals")
struct ErrorTests {
    private func error(_ name: String) throws -> KubernetesError {
        KubernetesError(try Fixture.response(name), operation: "test")
    }

    @Test(
        "what each says",
        arguments: [
            ("unauthorized-401.json", KubernetesError.Code.unauthorized),
            ("forbidden-403.json", .forbidden),
            ("eviction-404.json", .notFound),
            ("list-continue-410.json", .gone),
            ("list-exact-410.json", .gone),
            ("eviction-429.json", .disruptionBudget(name: "web", isProcessing: false)),
            ("eviction-429-budget-not-processed.json", .disruptionBudget(name: "st", isProcessing: true)),
            ("eviction-500-two-budgets.json", .twoBudgets),
            ("eviction-policy-v1-on-1.20.json", .invalid),
            ("pdb-policy-v1-on-1.20.json", .notFound),
        ])
    func codes(name: String, code: KubernetesError.Code) throws {
        #expect(try error(name).code == code)
    }

    @Test("a missing right is named with verb and resource")
    func forbidden() throws {
        let text = "\(try error("forbidden-403.json"))"
        #expect(text.contains("cannot delete resource \"pods\""))
        #expect(text.contains("system:serviceaccount:kube-system:autoscaler"))
    }

    @Test("overload is told from a budget, and its Retry-After is kept")
    func overload() {
        let busy = HTTPResponse(
            status: 429, headers: ["Retry-After": "7"], body: Array("Too many requests, please try again later.".utf8))
        let error = KubernetesError(busy, operation: "test")
        #expect(error.code == .tooManyRequests(retryAfter: .seconds(7)))
        #expect(error.message.hasPrefix("Too many requests"))
        #expect(error.isRetriable)
    }

    @Test("bodies that are no Status: their beginning is the message")
    func foreignBodies() {
        let html = HTTPResponse(status: 502, body: Array("<html>Bad gateway".utf8))
        #expect(KubernetesError(html, operation: "x").message == "<html>Bad gateway")
        #expect(KubernetesError(html, operation: "x").code == .server)
        #expect(KubernetesError(HTTPResponse(status: 503), operation: "x").message == "no further particulars")
        let hostile = HTTPResponse(status: 500, body: [0xFF, 0xFE, 0x22] + Array(repeating: 0x5B, count: 100_000))
        #expect(KubernetesError(hostile, operation: "x").code == .server)
    }

    @Test("what is worth another attempt")
    func retriable() throws {
        #expect(try error("eviction-429.json").isRetriable)
        #expect(try !error("forbidden-403.json").isRetriable)
        #expect(try !error("eviction-500-two-budgets.json").isRetriable)
        #expect(KubernetesError(HTTPError(.refused, url: "http://x/", detail: ""), operation: "x").isRetriable)
    }
}
