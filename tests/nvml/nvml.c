/* A libnvidia-ml.so.1 for tests: what it answers stands in the file that TTS_FAKE_NVML names, read anew at each call.

   One `key value` a line. `driver`, `init` (the status of nvmlInit) and `count` are the machine's; `0.power_mw` is GPU
   0's and `0.m1.uuid` its MIG instance 1's. A key that is not there is NOT_SUPPORTED, `error:N` is status N.
   `0.energy_mj` grows by `0.energy_mw` milliwatts since the machine was started, and wraps at `0.energy_wraps_mj`.
   `0.processes` lists process ids with commas between; `~WORD` is every process whose command line holds WORD.
   Structures and signatures are those of nvml.h, API version 12. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, UNKNOWN = 999 };
enum { GPUS = 8, PARTS = 8, LINE = 4096 };

typedef struct { int gpu, part; } device; /* part: -1 for the whole GPU */
typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned int gpu, memory; } utilization;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gpu_instance, compute_instance; } process;
typedef struct {
  char legacy[16];
  unsigned int domain, bus, device, id, subsystem;
  char bus_id[32];
} pci;

static device devices[GPUS][PARTS + 1];

static int lookup(const char *wanted, char *into) {
  const char *path = getenv("TTS_FAKE_NVML");
  FILE *file = path ? fopen(path, "r") : NULL;
  char line[LINE];
  int status = NOT_SUPPORTED;
  if (!file) return UNKNOWN;
  while (status == NOT_SUPPORTED && fgets(line, LINE, file)) {
    size_t length = strlen(wanted);
    if (strncmp(line, wanted, length) || line[length] != ' ') continue;
    line[strcspn(line, "\n")] = 0;
    strcpy(into, line + length + 1);
    status = strncmp(into, "error:", 6) ? OK : atoi(into + 6);
  }
  fclose(file);
  return status;
}

static int of(const device *of_device, const char *key, char *into) {
  char name[256];
  if (of_device->part < 0) snprintf(name, sizeof name, "%d.%s", of_device->gpu, key);
  else snprintf(name, sizeof name, "%d.m%d.%s", of_device->gpu, of_device->part, key);
  return lookup(name, into);
}

static int number(const device *of_device, const char *key, unsigned long long *into) {
  char text[LINE];
  int status = of(of_device, key, text);
  if (status == OK) *into = strtoull(text, NULL, 0);
  return status;
}

static int small(const device *of_device, const char *key, unsigned int *into) {
  unsigned long long value;
  int status = number(of_device, key, &value);
  if (status == OK) *into = (unsigned int)value;
  return status;
}

static int text(const device *of_device, const char *key, char *into, unsigned int size) {
  char found[LINE];
  int status = of(of_device, key, found);
  if (status == OK && strlen(found) >= size) return TOO_SMALL;
  if (status == OK) strcpy(into, found);
  return status;
}

int nvmlInit_v2(void) {
  char found[LINE];
  int status = lookup("init", found);
  return status == OK ? atoi(found) : status == NOT_SUPPORTED ? OK : status;
}
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return nvmlInit_v2(); }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int status) { return status == NOT_SUPPORTED ? "Not Supported" : "Other Error"; }

int nvmlSystemGetDriverVersion(char *into, unsigned int size) {
  char found[LINE];
  int status = lookup("driver", found);
  if (status == OK) snprintf(into, size, "%s", found);
  return status;
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
  char found[LINE];
  int status = lookup("count", found);
  if (status == OK) *count = (unsigned int)atoi(found);
  return status;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, device **into) {
  unsigned int count = 0;
  int status = nvmlDeviceGetCount_v2(&count);
  if (status != OK) return status;
  if (index >= count || index >= GPUS) return INVALID;
  devices[index][PARTS].gpu = (int)index;
  devices[index][PARTS].part = -1;
  *into = &devices[index][PARTS];
  return OK;
}

int nvmlDeviceGetName(device *d, char *into, unsigned int size) { return text(d, "name", into, size); }
int nvmlDeviceGetUUID(device *d, char *into, unsigned int size) { return text(d, "uuid", into, size); }
int nvmlDeviceGetPowerUsage(device *d, unsigned int *into) { return small(d, "power_mw", into); }
int nvmlDeviceGetGpuInstanceId(device *d, unsigned int *into) { return small(d, "gpu_instance", into); }
int nvmlDeviceGetComputeInstanceId(device *d, unsigned int *into) { return small(d, "compute_instance", into); }
int nvmlDeviceGetTemperature(device *d, int sensor, unsigned int *into) {
  return sensor ? INVALID : small(d, "temperature_c", into);
}
int nvmlDeviceGetCurrentClocksThrottleReasons(device *d, unsigned long long *into) {
  return number(d, "throttle", into);
}
int nvmlDeviceGetClockInfo(device *d, int kind, unsigned int *into) {
  return kind == 1 ? small(d, "sm_clock_mhz", into) : kind == 2 ? small(d, "memory_clock_mhz", into) : NOT_SUPPORTED;
}

int nvmlDeviceGetMemoryInfo(device *d, memory *into) {
  int status = number(d, "memory_total", &into->total);
  if (status != OK) return status;
  into->used = 0;
  number(d, "memory_used", &into->used);
  into->free = into->total - into->used;
  return OK;
}

int nvmlDeviceGetUtilizationRates(device *d, utilization *into) {
  into->memory = 0;
  return small(d, "utilization", &into->gpu);
}

int nvmlDeviceGetTotalEnergyConsumption(device *d, unsigned long long *into) {
  unsigned long long rate = 0, wraps = 0;
  struct timespec now;
  int status = number(d, "energy_mj", into);
  if (status != OK) return status;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (number(d, "energy_mw", &rate) == OK)
    *into += (unsigned long long)(((double)now.tv_sec + (double)now.tv_nsec / 1e9) * (double)rate);
  if (number(d, "energy_wraps_mj", &wraps) == OK && wraps) *into %= wraps;
  return OK;
}

int nvmlDeviceGetPciInfo_v3(device *d, pci *into) {
  memset(into, 0, sizeof *into);
  return text(d, "bus_id", into->bus_id, sizeof into->bus_id);
}

int nvmlDeviceGetMigMode(device *d, unsigned int *current, unsigned int *pending) {
  unsigned int count = 0;
  int status = small(d, "mig_count", &count);
  if (status != OK) return status;
  *current = *pending = 1;
  return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(device *d, unsigned int *into) { (void)d; *into = PARTS; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(device *d, unsigned int index, device **into) {
  unsigned int count = 0;
  int status = small(d, "mig_count", &count);
  if (status != OK) return status;
  if (index >= count) return NOT_FOUND;
  devices[d->gpu][index].gpu = d->gpu;
  devices[d->gpu][index].part = (int)index;
  *into = &devices[d->gpu][index];
  return OK;
}

static int is_called(const char *pid, const char *word) {
  char path[300], line[LINE];
  snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  size_t length = fread(line, 1, LINE - 1, file);
  fclose(file);
  for (size_t i = 0; i < length; i++) if (!line[i]) line[i] = ' ';
  line[length] = 0;
  return strstr(line, word) != NULL;
}

int nvmlDeviceGetComputeRunningProcesses_v3(device *d, unsigned int *count, process *into) {
  char listed[LINE], *rest = listed, *entry;
  unsigned int found = 0, room = *count;
  unsigned int pids[256];
  int status = of(d, "processes", listed);
  if (status == NOT_SUPPORTED) { *count = 0; return OK; }
  if (status != OK) return status;
  while ((entry = strsep(&rest, ",")) && found < 256) {
    if (*entry != '~') { if (*entry) pids[found++] = (unsigned int)atoi(entry); continue; }
    DIR *proc = opendir("/proc");
    for (struct dirent *one; proc && found < 256 && (one = readdir(proc));)
      if (isdigit((unsigned char)*one->d_name) && is_called(one->d_name, entry + 1))
        pids[found++] = (unsigned int)atoi(one->d_name);
    if (proc) closedir(proc);
  }
  *count = found;
  if (!found) return OK;
  if (!into || room < found) return TOO_SMALL;
  memset(into, 0, found * sizeof *into);
  for (unsigned int i = 0; i < found; i++) into[i].pid = pids[i];
  return OK;
}
