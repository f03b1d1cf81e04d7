package session

import (
	"github.com/farforge/farforge/proxy-agent/build"
)

// takeCache gets the folder that the recipe's {cache} names, if the recipe uses
// one. Its owner is given by the grant and by a secret that the client sent over
// this connection.
func (j *job) takeCache(choice *build.Choice) (dir string, err error) {
	if !choice.Recipe.Build.Cache {
		return "", nil
	}
	if j.host.Caches == nil {
		j.cache, err = j.host.Workspaces.NewCache()
	} else {
		owner := build.Owner{Issuer: j.grant.Issuer, Subject: j.grant.Subject, Project: j.grant.Project, Secret: j.request.Cache}
		j.cache, err = j.host.Caches.Take(owner, choice)
	}
	if err != nil {
		return "", err
	}
	j.removals = append(j.removals, j.cache.Close)
	j.log.Debug("the build has a cache", "warm", j.cache.Warm())
	return j.cache.Dir, nil
}

// keepCache keeps the cache for the project's next build. A build that was
// stopped or killed may have left it half-written: then it is removed.
func (j *job) keepCache() {
	if j.cache == nil || !j.settled {
		return
	}
	if err := j.cache.Keep(); err != nil {
		j.log.Info("the cache of a build is not kept", "reason", err)
	}
}
