#ifndef UPDRAFT_THREAD_H
#define UPDRAFT_THREAD_H
// Names the calling thread for ps, top and debuggers; cut to 15 characters.
void updraft_thread_name(const char *name);
#endif
