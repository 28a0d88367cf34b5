/* A stand-in for libnvidia-ml.so.1 whose machine is a text file.
 *
 * The file named by FAKE_NVML_STATE is looked at again at every call, so a test changes the machine
 * by replacing the file. One statement a line, later lines add to earlier ones:
 *
 *   init CODE                                   what initialising returns (0: success)
 *   gpu UUID TOTAL_MIB RESERVED_MIB USED_MIB NAME...
 *   mig GPU UUID TOTAL_MIB USED_MIB             an instance of GPU, which is then in MIG mode
 *   process DEVICE compute|graphics PID MIB     MIB -1: the driver will not say
 *   busy GPU PERCENT                            how busy it is; not told without this
 *   error DEVICE FUNCTION CODE                  DEVICE -1: calls without a device
 *
 * GPU counts the gpu lines from 0; DEVICE is the same, or 1000 + the mig line counted from 0.
 * FUNCTION is memory, busy, compute, graphics, handle, uuid, name, mig or count.
 * Compiled with OLD_DRIVER, it lacks the functions that drivers before 510 lack.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MOST_DEVICES 64
#define MOST_PROCESSES 256
#define MOST_ERRORS 64
#define MIG 1000
#define MIB (1024ull * 1024ull)

enum {
  SUCCESS = 0,
  INVALID_ARGUMENT = 2,
  NOT_SUPPORTED = 3,
  NOT_FOUND = 6,
  INSUFFICIENT_SIZE = 7,
  UNKNOWN = 999
};

typedef void *device_t;

typedef struct {
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance;
  unsigned compute_instance;
} process_info_t;

typedef struct {
  unsigned long long total, free, used;
} memory_v1_t;

typedef struct {
  unsigned gpu, memory;
} utilization_t;

typedef struct {
  unsigned version;
  unsigned long long total, reserved, free, used;
} memory_v2_t;

typedef struct {
  char uuid[96], name[96];
  unsigned long long total, reserved, used; /* MiB */
  int parent;
  int busy; /* percent, and one more: 0 is not told */
} gpu_t;

static struct {
  int init, gpus, migs, processes, errors;
  gpu_t gpu[MOST_DEVICES], mig[MOST_DEVICES];
  struct { int device, graphics; unsigned pid; long long mib; } process[MOST_PROCESSES];
  struct { int device, code; char function[16]; } error[MOST_ERRORS];
} now;

static void load(void) {
  /* The version last read stays open, so that its inode is not given to a later one. */
  static FILE *file;
  static ino_t inode;
  struct stat status;
  const char *path = getenv("FAKE_NVML_STATE");
  char line[512], kind[16];
  int device, percent;
  if (file && !stat(path, &status) && status.st_ino == inode)
    return;
  if (file)
    fclose(file);
  memset(&now, 0, sizeof now);
  file = path ? fopen(path, "r") : NULL;
  if (!file) {
    now.init = UNKNOWN;
    return;
  }
  fstat(fileno(file), &status);
  inode = status.st_ino;
  while (fgets(line, sizeof line, file)) {
    gpu_t *gpu = &now.gpu[now.gpus], *mig = &now.mig[now.migs];
    int p = now.processes, e = now.errors;
    if (sscanf(line, "init %d", &now.init) == 1)
      continue;
    if (sscanf(line, "busy %d %d", &device, &percent) == 2 && device < now.gpus) {
      now.gpu[device].busy = percent + 1;
      continue;
    }
    if (now.gpus < MOST_DEVICES &&
        sscanf(line, "gpu %95s %llu %llu %llu %95[^\n]", gpu->uuid, &gpu->total, &gpu->reserved,
               &gpu->used, gpu->name) == 5)
      now.gpus++;
    else if (now.migs < MOST_DEVICES && sscanf(line, "mig %d %95s %llu %llu", &mig->parent,
                                               mig->uuid, &mig->total, &mig->used) == 4) {
      strcpy(mig->name, "MIG instance");
      now.migs++;
    } else if (p < MOST_PROCESSES &&
               sscanf(line, "process %d %15s %u %lld", &now.process[p].device, kind,
                      &now.process[p].pid, &now.process[p].mib) == 4) {
      now.process[p].graphics = kind[0] == 'g';
      now.processes++;
    } else if (e < MOST_ERRORS && sscanf(line, "error %d %15s %d", &now.error[e].device,
                                         now.error[e].function, &now.error[e].code) == 3)
      now.errors++;
  }
}

static int number(device_t device) { return (int)(long)device - 1; }

static device_t handle(int device) { return (device_t)(long)(device + 1); }

/* Reads the machine, and gives the error injected for this call. */
static int enter(int device, const char *function) {
  load();
  for (int i = 0; i < now.errors; i++)
    if (now.error[i].device == device && !strcmp(now.error[i].function, function))
      return now.error[i].code;
  return SUCCESS;
}

static gpu_t *find(device_t device) {
  int n = number(device);
  if (n >= MIG)
    return n - MIG < now.migs ? &now.mig[n - MIG] : NULL;
  return n >= 0 && n < now.gpus ? &now.gpu[n] : NULL;
}

int nvmlInit_v2(void) {
  load();
  return now.init;
}

int nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  return nvmlInit_v2();
}

int nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(int code) {
  static char text[48];
  snprintf(text, sizeof text, "injected error %d", code);
  return text;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
  int error = enter(-1, "count");
  *count = now.gpus;
  return error;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *device) {
  int error = enter(index, "handle");
  *device = handle(index);
  return error ? error : index < (unsigned)now.gpus ? SUCCESS : INVALID_ARGUMENT;
}

static int text_of(device_t device, const char *function, char *text, unsigned size) {
  int error = enter(number(device), function);
  gpu_t *gpu = find(device);
  if (error || !gpu)
    return error ? error : INVALID_ARGUMENT;
  snprintf(text, size, "%s", function[0] == 'u' ? gpu->uuid : gpu->name);
  return SUCCESS;
}

int nvmlDeviceGetUUID(device_t device, char *text, unsigned size) {
  return text_of(device, "uuid", text, size);
}

int nvmlDeviceGetName(device_t device, char *text, unsigned size) {
  return text_of(device, "name", text, size);
}

#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(device_t device, memory_v2_t *memory) {
  int error = enter(number(device), "memory");
  gpu_t *gpu = find(device);
  if (error || !gpu)
    return error ? error : INVALID_ARGUMENT;
  memory->total = gpu->total * MIB;
  memory->reserved = gpu->reserved * MIB;
  memory->used = gpu->used * MIB;
  memory->free = memory->total - memory->reserved - memory->used;
  return SUCCESS;
}

#endif

int nvmlDeviceGetMemoryInfo(device_t device, memory_v1_t *memory) {
  int error = enter(number(device), "memory");
  gpu_t *gpu = find(device);
  if (error || !gpu)
    return error ? error : INVALID_ARGUMENT;
  memory->total = gpu->total * MIB;
  memory->used = (gpu->used + gpu->reserved) * MIB;
  memory->free = memory->total - memory->used;
  return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(device_t device, utilization_t *rates) {
  int error = enter(number(device), "busy");
  gpu_t *gpu = find(device);
  if (error || !gpu || !gpu->busy)
    return error ? error : NOT_SUPPORTED;
  rates->gpu = rates->memory = gpu->busy - 1;
  return SUCCESS;
}

#ifndef OLD_DRIVER
static int list(device_t device, int graphics, unsigned *count, process_info_t *infos) {
  int error = enter(number(device), graphics ? "graphics" : "compute");
  unsigned room = *count, found = 0;
  if (error)
    return error;
  for (int i = 0; i < now.processes; i++) {
    if (now.process[i].device != number(device) || now.process[i].graphics != graphics)
      continue;
    if (infos && found < room) {
      infos[found].pid = now.process[i].pid;
      infos[found].used = now.process[i].mib < 0 ? ~0ull : now.process[i].mib * MIB;
      infos[found].gpu_instance = infos[found].compute_instance = ~0u;
    }
    found++;
  }
  *count = found;
  return found > (infos ? room : 0) ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(device_t device, unsigned *count,
                                            process_info_t *infos) {
  return list(device, 0, count, infos);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(device_t device, unsigned *count,
                                             process_info_t *infos) {
  return list(device, 1, count, infos);
}

#endif

int nvmlDeviceGetMigMode(device_t device, unsigned *current, unsigned *pending) {
  int error = enter(number(device), "mig");
  *current = *pending = 0;
  for (int i = 0; i < now.migs; i++)
    if (now.mig[i].parent == number(device))
      *current = *pending = 1;
  return error;
}

int nvmlDeviceGetMaxMigDeviceCount(device_t device, unsigned *count) {
  (void)device;
  *count = 7; /* as on real cards: places, most of them empty */
  return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(device_t device, unsigned index, device_t *instance) {
  unsigned place = 0;
  load();
  for (int i = 0; i < now.migs; i++)
    if (now.mig[i].parent == number(device) && place++ == index) {
      *instance = handle(MIG + i);
      return SUCCESS;
    }
  return NOT_FOUND;
}
