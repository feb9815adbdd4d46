#include "scalar.h"
#include <stdatomic.h>
#include <unistd.h>

struct nsc_pool {
    pid_t pid;
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    const struct nsc_job *job; // guarded by lock: what workers may join; NULL when there is nothing left
    uint64_t generation;       // guarded by lock: a new one for each job
    int active;                // guarded by lock: workers inside the job
    bool stop;                 // guarded by lock
    atomic_uint_fast64_t next; // the first unit that nobody has taken
    int count;
    pthread_t threads[];
};

static void take_pieces(struct nsc_pool *pool, const struct nsc_job *job)
{
    for (;;) {
        uint64_t first = atomic_fetch_add_explicit(&pool->next, job->piece, memory_order_relaxed);
        if (first >= job->units)
            return;
        job->run(job->user, first, job->units - first < job->piece ? job->units - first : job->piece);
    }
}

static void *worker(void *user)
{
    struct nsc_pool *pool = user;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stop) {
        if (!pool->job || pool->generation == seen) {
            pthread_cond_wait(&pool->work, &pool->lock);
            continue;
        }
        const struct nsc_job *job = pool->job;
        seen = pool->generation;
        pool->active++;
        pthread_mutex_unlock(&pool->lock);
        take_pieces(pool, job);
        pthread_mutex_lock(&pool->lock);
        if (--pool->active == 0)
            pthread_cond_signal(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct nsc_pool *nsc_pool_create(int threads, const norma_allocator *allocator)
{
    int wanted = threads - 1;
    if (wanted < 1)
        return NULL;
    struct nsc_pool *pool = norma_zalloc(allocator, 1, sizeof *pool + (size_t)wanted * sizeof pool->threads[0]);
    if (!pool)
        return NULL;
    pool->pid = getpid();
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->idle, NULL);
    while (pool->count < wanted && pthread_create(&pool->threads[pool->count], NULL, worker, pool) == 0)
        pool->count++;
    if (pool->count == 0) {
        nsc_pool_destroy(pool);
        return NULL;
    }
    return pool;
}

void nsc_pool_run(struct nsc_pool *pool, const struct nsc_job *job)
{
    pthread_mutex_lock(&pool->lock);
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    pool->job = job;
    pool->generation++;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    take_pieces(pool, job);
    pthread_mutex_lock(&pool->lock);
    pool->job = NULL; // workers that wake only now find nothing to join
    while (pool->active > 0)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

bool nsc_pool_is_ours(const struct nsc_pool *pool)
{
    return pool->pid == getpid();
}

void nsc_pool_destroy(struct nsc_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    norma_free(pool);
}
