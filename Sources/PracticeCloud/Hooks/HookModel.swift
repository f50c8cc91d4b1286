import JSONReader
import Support

/// The pods' shutdown hooks: what an application would do when it is told that its node goes.
struct HookModel: Sendable {
    /// How an application answers.
    struct Behaviour: Sendable {
        enum Answer: String, Sendable {
            case done
            case extend
            case refuse
            /// Takes the notice and says nothing.
            case never
            /// Answers with an HTTP error.
            case fail
        }

        var answer: Answer = .done
        /// Until the answer. Up to `longestHold` the request is held; a longer one is answered 202 and the answer is
        /// posted to the notice's address later.
        var delay: Interval = .zero
        /// For `extend`: how much more time.
        var seconds: Double = 10
        /// For `extend`: so many times, then `done`.
        var times = 1
        /// For `fail`.
        var status = 500
    }

    /// What a pod was told.
    struct Notice: Sendable {
        var time: Timestamp
        var namespace: String
        var app: String
        var pod: String
        var podUID: String
        var removal: String
        var withdrawn: Bool
        var body: JSONValue
    }

    /// An answer to be posted.
    struct Post: Sendable {
        var url: String
        var body: JSONValue
        var pod: String
        var podUID: String
    }

    /// Requests are held at most this long.
    static let longestHold = Interval.seconds(2)
    /// Notices kept for the control API.
    private static let noticeLimit = 50_000

    /// By `namespace/app`; `*` for all others.
    var behaviours: [String: Behaviour] = [:]
    private(set) var notices: [Notice] = []
    private var extensions: [String: Int] = [:]
    private var posts = DeadlineQueue<Post>()

    init() {}

    /// When an answer is due next.
    var nextDeadline: Timestamp? { posts.next }

    /// Answers that are due.
    mutating func takePosts(at now: Timestamp) -> [Post] {
        var due: [Post] = []
        while let post = posts.pop(due: now) { due.append(post) }
        return due
    }

    /// A notice came in. Returns what to answer, how much later, and what is to be written down.
    mutating func notice(
        namespace: String, app: String, body: JSONValue, at now: Timestamp
    ) -> (answer: PracticeAnswer, delay: Interval, notice: Notice, said: String) {
        // CloudEvents: the notice is in `data`; a plain body is taken as it is.
        let data = body["data"] ?? body
        let notice = Notice(
            time: now, namespace: namespace, app: app,
            pod: data["pod"]?.stringValue ?? data[path: "pod", "name"]?.stringValue ?? "",
            podUID: data["podUID"]?.stringValue ?? data[path: "pod", "uid"]?.stringValue ?? "",
            removal: data["removal"]?.stringValue ?? "", withdrawn: data["withdrawn"]?.boolValue ?? false, body: body)
        notices.append(notice)
        if notices.count > Self.noticeLimit { notices.removeFirst(notices.count - Self.noticeLimit * 4 / 5) }
        if notice.withdrawn { return (.json(200, [:]), .zero, notice, "acknowledged") }
        let behaviour = behaviours["\(namespace)/\(app)"] ?? behaviours["*"] ?? Behaviour()
        var word: JSONValue
        var said = behaviour.answer.rawValue
        switch behaviour.answer {
        case .done: word = ["answer": "done"]
        case .refuse: word = ["answer": "refuse", "message": "not now"]
        case .never: return (.json(202, [:]), .zero, notice, said)
        case .fail:
            return (.text(behaviour.status, "the application is unwell"), behaviour.delay, notice, said)
        case .extend:
            let id = "\(notice.removal)|\(notice.podUID)"
            let asked = extensions[id, default: 0]
            extensions[id] = asked + 1
            if asked < behaviour.times {
                word = ["answer": "extend", "seconds": .double(behaviour.seconds)]
                scheduleDone(after: behaviour, asked: asked + 1, notice, data, at: now)
            } else {
                word = ["answer": "done"]
                said = "done"
            }
        }
        if behaviour.delay <= Self.longestHold { return (.json(200, word), behaviour.delay, notice, said) }
        post(word, notice, data, due: now + behaviour.delay)
        return (.json(202, [:]), .zero, notice, "later")
    }

    /// An application that asked for more time asks again while it may, and then says that it is done, once most of
    /// what it got is used.
    private mutating func scheduleDone(
        after behaviour: Behaviour, asked: Int, _ notice: Notice, _ data: JSONValue, at now: Timestamp
    ) {
        var due = now
        for turn in asked...max(asked, behaviour.times) {
            due = due + behaviour.delay + .seconds(behaviour.seconds * 0.8)
            let word: JSONValue =
                turn < behaviour.times
                ? ["answer": "extend", "seconds": .double(behaviour.seconds)] : ["answer": "done"]
            post(word, notice, data, due: due)
        }
    }

    private mutating func post(_ word: JSONValue, _ notice: Notice, _ data: JSONValue, due: Timestamp) {
        guard let url = data["answerURL"]?.stringValue else { return }
        var body = word
        body["removal"] = .string(notice.removal)
        body["podUID"] = .string(notice.podUID)
        body["token"] = data["token"] ?? ""
        posts.add(Post(url: url, body: body, pod: notice.pod, podUID: notice.podUID), due: due)
    }
}
