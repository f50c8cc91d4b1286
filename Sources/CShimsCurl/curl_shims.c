#include "updraft_curl.h"

#include <curl/curl.h>
#include <sys/socket.h>

static curl_socket_t open_private(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)context;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

int updraft_curl_set_private_sockets(void *easy) {
    return (int)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_private);
}

int updraft_curl_set_text(void *easy, unsigned option, const char *value) {
    return (int)curl_easy_setopt(easy, (CURLoption)option, value);
}

int updraft_curl_set_number(void *easy, unsigned option, long value) {
    return (int)curl_easy_setopt(easy, (CURLoption)option, value);
}

int updraft_curl_set_large(void *easy, unsigned option, long long value) {
    return (int)curl_easy_setopt(easy, (CURLoption)option, (curl_off_t)value);
}

int updraft_curl_set_blob(void *easy, unsigned option, const void *data, size_t size) {
    struct curl_blob blob = {.data = (void *)data, .len = size, .flags = CURL_BLOB_COPY};
    return (int)curl_easy_setopt(easy, (CURLoption)option, &blob);
}

int updraft_curl_set_list(void *easy, unsigned option, void *list) {
    return (int)curl_easy_setopt(easy, (CURLoption)option, (struct curl_slist *)list);
}

int updraft_curl_set_body(void *easy, const void *data, size_t size) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    if (code != CURLE_OK) return (int)code;
    return (int)curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, size == 0 ? "" : data);
}

int updraft_curl_set_error_buffer(void *easy, char *buffer) {
    return (int)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, buffer);
}

int updraft_curl_set_receivers(void *easy, updraft_curl_receiver body, updraft_curl_receiver header, void *context) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body);
    if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_WRITEDATA, context);
    if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header);
    if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_HEADERDATA, context);
    return (int)code;
}

int updraft_curl_multi_set_number(void *multi, unsigned option, long value) {
    return (int)curl_multi_setopt(multi, (CURLMoption)option, value);
}

long long updraft_curl_get_number(void *easy, unsigned info) {
    long value = 0;
    return curl_easy_getinfo(easy, (CURLINFO)info, &value) == CURLE_OK ? (long long)value : -1;
}

long long updraft_curl_get_large(void *easy, unsigned info) {
    curl_off_t value = 0;
    return curl_easy_getinfo(easy, (CURLINFO)info, &value) == CURLE_OK ? (long long)value : -1;
}
