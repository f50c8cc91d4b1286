#ifndef UPDRAFT_MHD_H
#define UPDRAFT_MHD_H
// What Swift cannot call of libmicrohttpd: variadic functions and unions. Its types stay opaque here, so that no
// declaration of the library's header exists in two modules.
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct MHD_Connection;
struct MHD_Response;
struct updraft_mhd;

// The three moments of a request, all on the daemon's own thread. `server` is the pointer given at the start.
typedef struct {
    // The request line is in. Returns the request's context.
    void *(*begin)(void *server, struct MHD_Connection *connection, const char *target);
    // Headers are in (first call, *size 0), a piece of the body is in (*size > 0), or all of it (*size 0 again).
    // Returns 0 to close the connection at once.
    int (*access)(void *server, struct MHD_Connection *connection, void *context, const char *method, const char *data,
                  size_t *size);
    // The request is over, well or not; the context is not used again.
    void (*completed)(void *server, struct MHD_Connection *connection, void *context);
} updraft_mhd_callbacks;

typedef struct {
    int listen_socket;
    int ipv6;
    unsigned int connection_limit;
    unsigned int idle_timeout_seconds;
    size_t connection_memory;
    const char *key_pem;         // NULL: plain HTTP
    const char *certificate_pem; // NULL: plain HTTP
    const char *client_ca_pem;   // NULL: no client certificate is asked for
} updraft_mhd_options;

// Starts a server with one epoll thread. NULL on failure. Takes over the listening socket on success.
struct updraft_mhd *updraft_mhd_start(const updraft_mhd_options *options, const updraft_mhd_callbacks *callbacks,
                                      void *server);

// Ends the thread (waits for it), closes every connection and the listening socket, frees the server.
// No connection may be suspended.
void updraft_mhd_stop(struct updraft_mhd *server);

// Enumerations of the library come to Swift differently from version to version, so calls that take one are wrapped.

// Calls `field` for each header field of the request; `value` may be NULL.
void updraft_mhd_each_header(struct MHD_Connection *connection, void *context,
                             void (*field)(void *context, const char *name, const char *value));
// The first value of a header field, NULL if absent. Valid while the request is.
const char *updraft_mhd_header(struct MHD_Connection *connection, const char *name);
// A response with a copy of `size` bytes. NULL without memory.
struct MHD_Response *updraft_mhd_response(const void *body, size_t size);
// A response of unknown length. `read` gives bytes written, 0 after it suspended the connection, -1 at the end, -2 to
// break the connection off. NULL without memory; then `release` is not called.
struct MHD_Response *updraft_mhd_stream(void *context, ssize_t (*read)(void *context, char *buffer, size_t size),
                                        void (*release)(void *context));
// 1 if the field was added, 0 if it would break the head.
int updraft_mhd_add_header(struct MHD_Response *response, const char *name, const char *value);
// Queues the response and drops the caller's reference to it. 0 if the connection cannot take it: close it.
int updraft_mhd_queue(struct MHD_Connection *connection, unsigned int status, struct MHD_Response *response);

// The socket of a connection, -1 if unknown.
int updraft_mhd_socket(struct MHD_Connection *connection);

// 1 if the peer of a TLS connection showed a certificate that the client CA vouches for and that is in its time.
int updraft_mhd_client_verified(struct MHD_Connection *connection);

// Writes the subject of the peer's certificate (RFC 4514), NUL-terminated. Returns 0 if there is none.
int updraft_mhd_client_subject(struct MHD_Connection *connection, char *text, size_t size);

// Writes the peer's address as text, NUL-terminated.
void updraft_mhd_remote(struct MHD_Connection *connection, char *text, size_t size);
#endif
