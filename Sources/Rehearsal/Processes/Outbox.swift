import Messages

/// What leaves in order: an event is with the broker before the act that follows it is done.
final class Outbox {
    private enum Item {
        case publish(Event)
        case then(() -> Void)
    }

    private unowned let process: Process
    private var items: [Item] = []
    private var isSending = false

    init(_ process: Process) {
        self.process = process
    }

    func publish(_ event: Event) {
        items.append(.publish(event))
        send()
    }

    func then(_ act: @escaping () -> Void) {
        items.append(.then(act))
        send()
    }

    private func send() {
        while !isSending, !items.isEmpty {
            switch items.removeFirst() {
            case .then(let act): act()
            case .publish(let event):
                isSending = true
                process.world.publish(event, from: process) { _ in
                    self.isSending = false
                    self.send()
                }
            }
        }
    }
}
