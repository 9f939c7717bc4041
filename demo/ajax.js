// A poll ends by itself after 25 s; one that takes this long has lost its server without noticing.
const timeoutMs = 40_000;

/**
 * What the message-bus client takes from jQuery.ajax where there is one, on XMLHttpRequest. `onAnswer` is called when the
 * server has begun to answer, `onFailure` when it has not, or broke off.
 */
export function createAjax({ onAnswer, onFailure }) {
  return function ajax({ type, url, headers, data, dataType, messageBus, success, error, complete }) {
    const xhr = new XMLHttpRequest();
    xhr.open(type, url);
    xhr.timeout = timeoutMs;
    for (const [name, value] of Object.entries(headers)) if (value != null) xhr.setRequestHeader(name, value);

    const isGood = () => xhr.status >= 200 && xhr.status < 300;
    const fail = (reason) => {
      error(xhr, reason);
      onFailure();
    };
    // It reads the stream while it comes in.
    if (messageBus.chunked) messageBus.onProgressListener(xhr);
    xhr.onreadystatechange = () => {
      if (xhr.readyState === XMLHttpRequest.HEADERS_RECEIVED && isGood()) onAnswer();
    };
    xhr.onload = () => {
      if (!isGood()) return fail('error');
      try {
        success(dataType === 'json' ? JSON.parse(xhr.responseText) : xhr.responseText);
      } catch {
        fail('parsererror');
      }
    };
    xhr.onerror = () => fail('error');
    xhr.ontimeout = () => fail('timeout');
    // The client's own doing.
    xhr.onabort = () => error(xhr, 'abort');
    xhr.onloadend = () => complete(xhr);
    xhr.send(new URLSearchParams(data));
    return xhr;
  };
}
