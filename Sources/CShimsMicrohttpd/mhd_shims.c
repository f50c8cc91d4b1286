#include "updraft_mhd.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct updraft_mhd {
    struct MHD_Daemon *daemon;
    updraft_mhd_callbacks callbacks;
    void *server;
};

static void *begin(void *cls, const char *target, struct MHD_Connection *connection) {
    struct updraft_mhd *self = cls;
    return self->callbacks.begin(self->server, connection, target);
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **context) {
    (void)url;
    (void)version;
    struct updraft_mhd *self = cls;
    return self->callbacks.access(self->server, connection, *context, method, data, size) ? MHD_YES : MHD_NO;
}

static void completed(void *cls, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode code) {
    (void)code;
    struct updraft_mhd *self = cls;
    void *ended = *context;
    *context = NULL;
    if (ended != NULL) self->callbacks.completed(self->server, connection, ended);
}

struct updraft_mhd *updraft_mhd_start(const updraft_mhd_options *options, const updraft_mhd_callbacks *callbacks,
                                      void *server) {
    struct updraft_mhd *self = malloc(sizeof *self);
    if (self == NULL) return NULL;
    self->callbacks = *callbacks;
    self->server = server;

    struct MHD_OptionItem tls[4];
    int count = 0;
    unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    if (options->ipv6) flags |= MHD_USE_IPv6;
    if (options->key_pem != NULL && options->certificate_pem != NULL) {
        flags |= MHD_USE_TLS;
        tls[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->key_pem};
        tls[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->certificate_pem};
        if (options->client_ca_pem != NULL) {
            tls[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, (void *)options->client_ca_pem};
        }
    }
    tls[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};

    self->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, self,
        MHD_OPTION_LISTEN_SOCKET, (MHD_socket)options->listen_socket,
        MHD_OPTION_URI_LOG_CALLBACK, begin, self,
        MHD_OPTION_NOTIFY_COMPLETED, completed, self,
        MHD_OPTION_CONNECTION_LIMIT, options->connection_limit,
        MHD_OPTION_CONNECTION_TIMEOUT, options->idle_timeout_seconds,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, options->connection_memory,
        MHD_OPTION_ARRAY, tls,
        MHD_OPTION_END);
    if (self->daemon == NULL) {
        free(self);
        return NULL;
    }
    return self;
}

void updraft_mhd_stop(struct updraft_mhd *self) {
    MHD_stop_daemon(self->daemon);
    free(self);
}

typedef struct {
    void *context;
    void (*field)(void *context, const char *name, const char *value);
} header_visit;

static enum MHD_Result visit_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value) {
    (void)kind;
    header_visit *visit = cls;
    visit->field(visit->context, name, value);
    return MHD_YES;
}

void updraft_mhd_each_header(struct MHD_Connection *connection, void *context,
                             void (*field)(void *context, const char *name, const char *value)) {
    header_visit visit = {context, field};
    MHD_get_connection_values(connection, MHD_HEADER_KIND, visit_header, &visit);
}

const char *updraft_mhd_header(struct MHD_Connection *connection, const char *name) {
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

struct MHD_Response *updraft_mhd_response(const void *body, size_t size) {
    // The library only reads from the pointer, which its signature does not say.
    return MHD_create_response_from_buffer(size, (void *)body, MHD_RESPMEM_MUST_COPY);
}

typedef struct {
    void *context;
    ssize_t (*read)(void *context, char *buffer, size_t size);
    void (*release)(void *context);
} stream;

static ssize_t read_stream(void *cls, uint64_t position, char *buffer, size_t size) {
    (void)position;
    stream *self = cls;
    ssize_t count = self->read(self->context, buffer, size);
    if (count >= 0) return count;
    return count == -1 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void release_stream(void *cls) {
    stream *self = cls;
    self->release(self->context);
    free(self);
}

struct MHD_Response *updraft_mhd_stream(void *context, ssize_t (*read)(void *context, char *buffer, size_t size),
                                        void (*release)(void *context)) {
    stream *self = malloc(sizeof *self);
    if (self == NULL) return NULL;
    *self = (stream){context, read, release};
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, read_stream, self, release_stream);
    if (response == NULL) free(self);
    return response;
}

int updraft_mhd_add_header(struct MHD_Response *response, const char *name, const char *value) {
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

int updraft_mhd_queue(struct MHD_Connection *connection, unsigned int status, struct MHD_Response *response) {
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued == MHD_YES;
}

int updraft_mhd_socket(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : (int)info->connect_fd;
}

static gnutls_session_t session_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info == NULL ? NULL : (gnutls_session_t)info->tls_session;
}

int updraft_mhd_client_verified(struct MHD_Connection *connection) {
    gnutls_session_t session = session_of(connection);
    unsigned int status = 0;
    if (session == NULL) return 0;
    return gnutls_certificate_verify_peers2(session, &status) == GNUTLS_E_SUCCESS && status == 0;
}

int updraft_mhd_client_subject(struct MHD_Connection *connection, char *text, size_t size) {
    gnutls_session_t session = session_of(connection);
    unsigned int count = 0;
    gnutls_x509_crt_t certificate;
    if (session == NULL || gnutls_certificate_type_get(session) != GNUTLS_CRT_X509) return 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    if (chain == NULL || count == 0 || gnutls_x509_crt_init(&certificate) != GNUTLS_E_SUCCESS) return 0;
    int found = gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == GNUTLS_E_SUCCESS &&
                gnutls_x509_crt_get_dn(certificate, text, &size) == GNUTLS_E_SUCCESS;
    gnutls_x509_crt_deinit(certificate);
    return found;
}

void updraft_mhd_remote(struct MHD_Connection *connection, char *text, size_t size) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info == NULL ? NULL : info->client_addr;
    text[0] = 0;
    if (address == NULL) return;
    if (address->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, (socklen_t)size);
    } else if (address->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text, (socklen_t)size);
    }
}
