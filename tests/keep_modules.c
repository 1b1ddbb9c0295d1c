// Loaded before test programs under sanitizers: what a program loaded stays, so that leaks of Open MPI's modules can be named
// (lsan.supp) after MPI_Finalize has closed them.
int dlclose(void* handle) {
  (void)handle;
  return 0;
}
