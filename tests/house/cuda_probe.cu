// cuda_probe: the smallest CUDA program, built wherever nvcc is found. It proves that the toolkit
// compiles, links statically and starts; on a machine without a driver it says so and succeeds.
#include <cstdio>

__global__ void write_one(int *out)
{
    *out = 1;
}

static int fail(const char *what, cudaError_t error)
{
    std::fprintf(stderr, "cuda_probe: %s: %s\n", what, cudaGetErrorString(error));
    return 1;
}

static int run_kernel()
{
    int *device = nullptr, host = 0;
    cudaError_t error = cudaMalloc(&device, sizeof *device);
    if (error != cudaSuccess)
        return fail("cudaMalloc", error);
    write_one<<<1, 1>>>(device);
    error = cudaMemcpy(&host, device, sizeof host, cudaMemcpyDeviceToHost);
    cudaFree(device);
    if (error != cudaSuccess)
        return fail("the kernel", error);
    std::printf("cuda_probe: a kernel ran and wrote %d\n", host);
    return host == 1 ? 0 : 1;
}

int main()
{
    int devices = 0;
    const cudaError_t error = cudaGetDeviceCount(&devices);
    if (error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice) {
        std::printf("cuda_probe: no driver or no device here (%s)\n", cudaGetErrorName(error));
        return 0;
    }
    return error == cudaSuccess ? run_kernel() : fail("cudaGetDeviceCount", error);
}
