import CShims
import CShimsMicrohttpd
import Glibc
import Support

/// Notices that the client of a parked stream has gone. The library does not look at suspended connections, so without
/// this an idle watch of a dead client would stay until the next event.
final class HangupWatch: Sendable {
    private let epoll: Int32
    private let bell: Int32
    private static let bellID = UInt64.max

    /// Nil when the system has no descriptors left. Calls `gone` on its own thread.
    init?(gone: @escaping @Sendable (UInt64) -> Void) {
        epoll = updraft_epoll_create()
        bell = updraft_eventfd_create()
        guard epoll >= 0, bell >= 0, updraft_epoll_watch_readable(epoll, bell, Self.bellID) == 0 else {
            close(epoll)
            close(bell)
            return nil
        }
        let loop = Loop(epoll: epoll, bell: bell, bellID: Self.bellID, gone: gone)
        let argument = Unmanaged.passRetained(loop)
        var thread = pthread_t()
        let failed = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Loop>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument.toOpaque())
        guard failed == 0 else {
            argument.release()
            close(epoll)
            close(bell)
            return nil
        }
        pthread_detach(thread)
    }

    func watch(_ connection: Connection, id: UInt64) {
        let socket = updraft_mhd_socket(connection.pointer)
        if socket >= 0 { _ = updraft_epoll_watch_hangup(epoll, socket, id) }
    }

    func forget(_ connection: Connection) {
        let socket = updraft_mhd_socket(connection.pointer)
        if socket >= 0 { updraft_epoll_forget(epoll, socket) }
    }

    /// Ends the thread, which closes the descriptors. Nothing may be watched or forgotten afterwards.
    func stop() {
        _ = updraft_eventfd_ring(bell)
    }

    private final class Loop: Sendable {
        let epoll: Int32
        let bell: Int32
        let bellID: UInt64
        let gone: @Sendable (UInt64) -> Void

        init(epoll: Int32, bell: Int32, bellID: UInt64, gone: @escaping @Sendable (UInt64) -> Void) {
            self.epoll = epoll
            self.bell = bell
            self.bellID = bellID
            self.gone = gone
        }

        func run() {
            defer {
                close(epoll)
                close(bell)
            }
            var ids = [UInt64](repeating: 0, count: 64)
            while true {
                let count = updraft_epoll_wait(epoll, &ids, 64)
                guard count >= 0 else { return }
                for id in ids.prefix(Int(count)) {
                    if id == bellID { return }
                    gone(id)
                }
            }
        }
    }
}
